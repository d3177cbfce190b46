"""The stdio proxy's session with a runtime that ended it, to make room, while its chat host is silent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from codewords_mcp.stdio.http_client import HttpEndpoint
from codewords_mcp.stdio.runtime_address import RuntimeTarget
from codewords_mcp.stdio.session import StdioSession

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize"}


class Runtime(BaseHTTPRequestHandler):
    """Gives sessions s1, s2, …; knows only the newest, and speaks first on its listening stream."""

    protocol_version = "HTTP/1.1"
    opened: list[str] = []  # noqa: RUF012  # of the test's one server
    said: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.said.append(message["method"])
        if message["method"] == "initialize":
            self.opened.append(f"s{len(self.opened) + 1}")
            reply = {"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2025-11-25"}}
            self._answer(200, "application/json", json.dumps(reply).encode(), self.opened[-1])
        else:
            self._answer(202, "application/json", b"")

    def do_GET(self) -> None:
        if self.headers["Mcp-Session-Id"] != "s2":
            self._answer(404, "application/json", b"{}")
        else:
            self._answer(200, "text/event-stream", b"data: " + json.dumps(CHANGED).encode() + b"\n\n")

    def _answer(self, status: int, kind: str, body: bytes, session: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if session:
            self.send_header("Mcp-Session-Id", session)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def target() -> Iterator[RuntimeTarget]:
    Runtime.opened, Runtime.said = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Runtime) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield RuntimeTarget(
            HttpEndpoint(f"http://127.0.0.1:{server.server_address[1]}", "key"), "the runtime"
        )
        server.shutdown()


@pytest.mark.requirement("stdio:session-ended")
def test_an_ended_session_is_made_again_by_itself_and_goes_on_to_hear(
    target: RuntimeTarget,
) -> None:
    heard: list[bytes] = []
    came = threading.Event()

    def relay(data: bytes) -> None:
        heard.append(data)
        came.set()

    session = StdioSession(json.dumps(INITIALIZE).encode(), relay, listen_again=0.01)
    answer, (body,) = session._post(target, json.dumps(INITIALIZE).encode(), {})  # pyright: ignore[reportPrivateUsage]
    session.began(target, answer, json.loads(body)["result"])
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    session.remember(initialized, json.dumps(initialized).encode())
    session.listen()  # s1, which this runtime has ended meanwhile
    assert came.wait(120)
    session.end()
    assert json.loads(heard[0]) == CHANGED
    assert Runtime.opened == ["s1", "s2"]
    assert Runtime.said == ["initialize", "initialize", "notifications/initialized"]
