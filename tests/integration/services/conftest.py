"""A runtime behind a real server whose services ask stand-ins on loopback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.settings import Settings
from codewords_testing.services import LoopbackServices, loopback_services


@dataclass
class Asked:
    """One request that a stand-in got. `path` has the query."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What a stand-in answers."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class StandIn:
    """A server on loopback. `answer` may be changed; `asked` is what came."""

    url: str = ""
    answer: Callable[[Asked], Answer] = lambda _asked: Answer(404)
    asked: list[Asked] = field(default_factory=list[Asked])


def serving(stand_in: StandIn) -> Iterator[StandIn]:
    """Serve it, in threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = Asked(self.command, self.path, {n.lower(): v for n, v in self.headers.items()}, body)
            stand_in.asked.append(asked)
            answer = stand_in.answer(asked)
            self.send_response(answer.status)
            for name, value in ({"Content-Length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, name="stand-in")
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def site() -> Iterator[StandIn]:
    """A web site."""
    yield from serving(StandIn())


@pytest.fixture(scope="session")
def api() -> Iterator[StandIn]:
    """An API that the operator named: every service's."""
    yield from serving(StandIn())


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, site: StandIn, api: StandIn) -> Iterator[Door]:
    """The runtime. Of private addresses only the site's is allowed."""
    settings = Settings.model_validate(
        {
            "home": make_home(tmp_path_factory.mktemp("services") / "home"),
            "port": 0,
            "api_key": ADMIN_KEY,
            "firecrawl_base_url": api.url,
            "github_base_url": api.url,
            "max_response_kept": 16384,
            "egress_allow_private": [site.url.removeprefix("http://")],
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            patch.delenv(name, raising=False)
        with Door(settings) as opened:
            yield opened


@pytest.fixture
def http(door: Door) -> Iterator[httpx.Client]:
    with door.client() as client:
        yield client


@pytest.fixture(scope="session")
def upstream() -> Iterator[LoopbackServices]:
    """What services ask, speaking the real protocols."""
    with loopback_services() as services:
        yield services
