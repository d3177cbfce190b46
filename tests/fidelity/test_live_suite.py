"""The live suite against a server that plays a provider, with and without drift, and the comparison that it makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from tests.live.calls import CALLS
from tests.live.drift import drift
from tests.live.replies import stand_in_reply
from tests.support.certificates import certificate
from tests.support.paths import PROJECT

from codewords_testing.fidelity.check import problems
from codewords_testing.fidelity.exchange import SentReply
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.model import Request

pytestmark = pytest.mark.requirement("stand-ins:live")
KEY = "sk-of-a-person-who-pays"


def reply(value: Any, status: int = 200) -> SentReply:
    return SentReply("openai", "POST", "/x", status, "application/json", json.dumps(value).encode())


def told(service: Any, stand_in: Any, *maps: str) -> list[str]:
    return [str(one) for one in drift(reply(service), reply(stand_in), frozenset(maps))]


def test_drift_names_what_is_absent_and_what_has_another_type() -> None:
    assert told({"a": 1, "b": [{"c": "x"}]}, {"a": 2, "b": [{"c": "y"}, {"c": None}]}) == []
    assert told({"a": 1}, {"a": "1"}) == ["≠ $.a: the service sends number, the stand-in text"]
    assert told({"a": 1, "b": {"c": 1}}, {"a": 1}) == [
        "+ $.b: the service sends object, the stand-in nothing"
    ]
    assert told({"a": 1}, {"a": 1, "b": {"c": 1}}) == [
        "- $.b: the stand-in sends object, the service nothing"
    ]
    assert told({"a": [{"b": 1}]}, {"a": [{"b": True}]}) == [
        "≠ $.a[].b: the service sends number, the stand-in boolean"
    ]
    assert [str(one) for one in drift(reply({}), reply({}, 201), frozenset())] == [
        "≠ status: the service sends 200, the stand-in 201"
    ]


def test_drift_says_nothing_of_what_nobody_can_know() -> None:
    # An empty list and a null do not show what they would hold.
    assert told({"a": []}, {"a": [{"b": 1}]}) == []
    assert told({"a": None}, {"a": {"b": 1}}) == []
    assert told({"p": {"x": 1}}, {"p": {"y": 2}}, "p") == []
    assert told({"p": {"x": 1}}, {"p": {"y": 2}}) != []


def test_a_stand_in_answers_each_call_and_as_described() -> None:
    for call in CALLS:
        found = stand_in_reply(call)
        assert found.status < 400, (call.id, found.body[:300])
        assert problems(found) == []


@contextmanager
def provider(folder: Path, drifted: bool) -> Generator[str]:
    """A server with TLS that answers as OpenAI does; drifted in two fields."""
    openai = LoopbackProviders({"openai": KEY})

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the base class's
            self.answer()

        def do_GET(self) -> None:  # the base class's
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            path, _, query = self.path.partition("?")
            answer = openai.answer(Request(self.command, path, query, headers, body))
            content = answer.body or b"".join(answer.stream or [])
            if drifted:
                content = content.replace(b'"service_tier":"default"', b'"tier":{"name":"default"}')
                content = content.replace(b'"total_tokens":', b'"total_tokens":"many","sum":')
            # A provider may write the key back, as in an error.
            content = content.replace(b'"chatcmpl-1"', f'"chatcmpl-{KEY}"'.encode())
            self.send_response(answer.status)
            self.send_header("content-type", answer.media)
            self.send_header("content-length", str(len(content)))
            self.send_header("openai-organization", "org-of-the-person")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = certificate(folder, "localhost").wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def run_live(folder: Path, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"CI", "PYTEST_ADDOPTS"}
    } | {
        "OPENAI_API_KEY": KEY,
        "CODEWORDS_LIVE_OPENAI_URL": url,
        "REQUESTS_CA_BUNDLE": str(folder / "cert.pem"),
        "CODEWORDS_LIVE_RECORDINGS": str(folder / "recordings"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "tests/live",
        "-k",
        "openai",
        *options,
    ]
    return subprocess.run(
        command, cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        timeout=250, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_live_suite_reports_drift_and_records_without_secrets(tmp_path: Path) -> None:
    with provider(tmp_path, drifted=True) as url:
        done = run_live(tmp_path, url, "--live")
    assert done.returncode == 1, done.stdout + done.stderr
    report = done.stdout.partition("drift of the stand-ins")[2]
    assert "openai-chat.completions.create" in report
    assert "- $.service_tier: the stand-in sends text, the service nothing" in report
    assert "+ $.tier: the service sends object, the stand-in nothing" in report
    assert "≠ $.usage.total_tokens: the service sends text, the stand-in number" in report
    assert "! not as described: openai: POST /v1/chat/completions → 200: usage.total_tokens" in report
    # The list of models has neither field.
    assert "openai-models.list" not in report

    recordings = [path for path in (tmp_path / "recordings").rglob("*") if path.is_file()]
    assert {path.name for path in recordings} >= {"chat.completions.create.yaml", "recorded.json"}
    for path in recordings:
        text = path.read_text("utf-8")
        assert KEY not in text, path
        assert "org-of-the-person" not in text, path
    assert "{OPENAI_API_KEY}" in (tmp_path / "recordings/openai/chat.completions.create.yaml").read_text(
        "utf-8"
    )


@pytest.mark.slow
def test_the_live_suite_passes_where_nothing_drifted_and_is_not_there_unless_asked_for(
    tmp_path: Path,
) -> None:
    with provider(tmp_path, drifted=False) as url:
        done = run_live(tmp_path, url, "--live")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "drift of the stand-ins" not in done.stdout
        unasked = run_live(tmp_path, url)
    assert unasked.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "deselected" in unasked.stdout
