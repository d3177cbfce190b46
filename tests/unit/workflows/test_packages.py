"""Packages that are not what they seem, against an index on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.workflows.script import Script, parse_script
from codewords_mcp.runtime.workflows.validation.packages import check_packages, famous_like

pytestmark = pytest.mark.anyio


def script(*dependencies: str) -> Script:
    listed = ", ".join(f'"{one}"' for one in dependencies)
    return parse_script(
        f'# /// script\n# requires-python = ">=3.11,<3.14"\n# dependencies = [{listed}]\n# ///\n'
    )


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An index that has `young-thing` since five days and `old-thing` for years; what it was asked."""
    asked: list[str] = []
    now = datetime.now(UTC)
    since = {"young-thing": now - timedelta(days=5), "old-thing": now - timedelta(days=2000)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            asked.append(name)
            files = [{"upload-time": since[name].isoformat()}] if name in since else []
            body = json.dumps({"files": files}).encode()
            self.send_response(200 if name in since else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("UV_OFFLINE", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{server.server_address[1]}/simple")
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.requirement("author:packages")
@pytest.mark.parametrize(
    ("name", "famous"),
    [
        ("reqeusts", "requests"),
        ("request5", "requests"),
        ("nunpy", "numpy"),
        ("pandsa", "pandas"),
        ("fast-api", "fastapi"),
        ("requests", None),
        ("httpx", None),
        ("httpx2", "httpx"),
        ("codewords-client", None),
        ("my-own-company-tools", None),
        ("abc", None),
    ],
)
def test_one_slip_from_a_famous_name_is_seen_and_nothing_else(name: str, famous: str | None) -> None:
    assert famous_like(name) == famous


@pytest.mark.requirement("author:packages")
async def test_a_package_that_is_days_old_is_named_and_asked_about(index: list[str]) -> None:
    checks, asks = await check_packages(script("fastapi==0.115.12", "young-thing==1.0", "old-thing==2.0"))
    (check,) = checks
    assert (check.id, check.status) == ("packages", "warning")
    assert "young-thing is doubtful: first published" in check.message
    assert sorted(index) == ["old-thing", "young-thing"]
    (ask,) = asks
    grants = Manifest(packages=asks).grants()
    assert [grant.item for grant in grants if "young-thing" in grant.item], grants
    again, _ = await check_packages(script("young-thing==1.0"))
    assert (len(again), len(index), ask.startswith("young-thing (")) == (1, 2, True)


@pytest.mark.requirement("author:packages")
async def test_an_index_that_does_not_answer_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    assert await check_packages(script("nobody-knows-this-package==1.0")) == ([], ())
