"""Whatever a key, session or token can have open: streams, calls and websockets, and how each is seen to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.support.certificates import TRUSTS_NONE
from tests.support.postgres import Postgres
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

LASTING = workflow(
    """
import asyncio
from fastapi import WebSocket

@app.api_route("/", methods=["GET", "POST"])
async def wait():
    print("waiting", flush=True)
    await asyncio.Event().wait()

@app.websocket("/ws")
async def listen(socket: WebSocket):
    await socket.accept()
    await socket.send_text("open")
    async for _ in socket.iter_text():
        pass
""",
    title="Lasting",
)
KEY, ENDS_WITHIN = "cwk-home-of-open-requests", 60.0
MCP = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


def client(url: str, key: str) -> httpx.Client:
    """A client that sends a key or token."""
    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
        trust_env=False,
        verify=TRUSTS_NONE,
    )


class Opener:
    """Whoever opens something at `url` with `key`, a key or token; `http` sends it. `home` has the home's own key.

    `pages` sends what the console sends, with the headers `own`.
    """

    def __init__(self, url: str, key: str, home: httpx.Client, stack: ExitStack) -> None:
        self.url, self.key, self.home, self.stack = url, key, home, stack
        self.http = stack.enter_context(client(url, key))
        self.pages, self.own = self.http, dict[str, str]()

    def initialize(self) -> dict[str, str]:
        """Open an MCP session; the headers of its requests."""
        hello = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
        opened = self.http.post("/mcp", json=body, headers=MCP)
        assert opened.status_code == 200, opened.text
        headers = MCP | {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert self.http.post("/mcp", json=ready, headers=headers).status_code == 202
        return headers

    def ping(self, headers: dict[str, str]) -> int:
        """The status of another message of a session."""
        body = {"jsonrpc": "2.0", "id": 9, "method": "ping"}
        return self.http.post("/mcp", json=body, headers=headers).status_code


def deploy(url: str, name: str = "Lasting") -> str:
    """A workflow that never answers, deployed under a name; its id."""
    with client(url, KEY) as home:
        deployed = home.post("/deploy", json={"code": LASTING, "name": name, "allow": True})
        return str(deployed.json()["service_id"])


Ended = Callable[[], object]
"""Waits until what was opened has ended, and fails where it was not cut off or refused."""


def in_thread(ask: Callable[[], httpx.Response]) -> Callable[[], httpx.Response | None]:
    """Ask meanwhile; gives the response, or None where the connection was cut off."""
    found: list[httpx.Response | None] = []

    def run() -> None:
        try:
            found.append(ask())
        except httpx.RemoteProtocolError:
            found.append(None)

    thread = threading.Thread(target=run)
    thread.start()

    def ended() -> httpx.Response | None:
        thread.join(ENDS_WITHIN)
        assert found, "it did not end"
        return found[0]

    return ended


def stream_of(guest: Opener, response: httpx.Response) -> Callable[[], list[str]]:
    """Reads a stream to its end; gives its lines."""
    assert response.status_code == 200

    def ended() -> list[str]:
        lines: list[str] = []
        try:
            lines += response.iter_lines()
        except httpx.RemoteProtocolError:
            return [*lines, "cut off"]
        return lines

    return ended


def opened(guest: Opener, http: httpx.Client, path: str, **headers: str) -> Callable[[], list[str]]:
    response = guest.stack.enter_context(http.stream("GET", path, headers=headers, timeout=ENDS_WITHIN))
    return stream_of(guest, response)


def started(guest: Opener, workflow_id: str) -> None:
    """Wait until the program of the guest's run has begun."""

    def waits() -> bool:
        runs = guest.home.get(f"/runs?service_id={workflow_id}&status=running").json()["items"]
        return any("waiting" in guest.home.get(f"/logs/{run['id']}?follow=false").text for run in runs)

    until(waits, "the program to run", ENDS_WITHIN)


def no_run_goes_on(guest: Opener, workflow_id: str) -> None:
    until(
        lambda: not guest.home.get(f"/runs?service_id={workflow_id}&status=running").json()["items"],
        "the run to end as if its caller had hung up",
        ENDS_WITHIN,
    )


def mcp_stream(guest: Opener, _workflow: str) -> Ended:
    headers = guest.initialize()
    lines = opened(guest, guest.http, "/mcp", **headers)

    def ended() -> None:
        lines()
        assert guest.ping(headers) in {401, 404}, "the session has ended as well"

    return ended


def mcp_call(guest: Opener, workflow_id: str) -> Ended:
    headers = guest.initialize()
    call = {
        "name": "run_workflow",
        "arguments": {"workflow_id": workflow_id, "method": "GET", "wait_seconds": 40},
    }
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
    response = in_thread(lambda: guest.http.post("/mcp", json=body, headers=headers))
    started(guest, workflow_id)

    def ended() -> None:
        answer = response()
        assert answer is None or "result" not in answer.text, answer and answer.text
        no_run_goes_on(guest, workflow_id)

    return ended


def sse(guest: Opener, _workflow: str) -> Ended:
    return opened(guest, guest.http, "/sse", Accept="text/event-stream")


def websocket(guest: Opener, workflow_id: str) -> Ended:
    url = f"{guest.url.replace('http', 'ws', 1)}/run/{workflow_id}/ws"
    talk = guest.stack.enter_context(connect(url, additional_headers={"X-API-Key": guest.key}, proxy=None))
    assert talk.recv(ENDS_WITHIN) == "open"

    def ended() -> None:
        with pytest.raises(ConnectionClosed) as closed:
            talk.recv(ENDS_WITHIN)
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "unauthenticated")
        no_run_goes_on(guest, workflow_id)

    return ended


def log(guest: Opener, workflow_id: str) -> Ended:
    run = guest.http.post(f"/run_async/{workflow_id}/").json()
    started(guest, workflow_id)
    lines = opened(guest, guest.http, f"/logs/{run['request_id']}?follow=true")

    def ended() -> None:
        lines()
        listed = guest.home.get(f"/runs?service_id={workflow_id}&status=running").json()["items"]
        assert [one["id"] for one in listed] == [run["request_id"]], (
            "a background run is the home's: it goes on"
        )
        assert guest.home.post(f"/runs/{run['request_id']}/cancel").is_success

    return ended


def synchronous_run(guest: Opener, workflow_id: str) -> Ended:
    response = in_thread(lambda: guest.pages.get(f"/run/{workflow_id}/", headers=guest.own))
    started(guest, workflow_id)

    def ended() -> None:
        answer = response()
        assert answer is not None
        assert answer.status_code == 401
        assert "ended while this was open" in answer.json()["error"]["message"]
        no_run_goes_on(guest, workflow_id)

    return ended


def console_stream(guest: Opener, _workflow: str) -> Ended:
    return opened(guest, guest.pages, "/events", **guest.own)


@contextmanager
def two_replicas(folder: Path, postgres: Postgres, **variables: str) -> Generator[list[str]]:
    """The URLs of two runtimes with one database and the same variables."""
    shared = variables | {
        "CODEWORDS_API_KEY": KEY,
        "CODEWORDS_MASTER_KEY": "a1" * 32,
        "CODEWORDS_DATABASE_URL": postgres.migrated_url(),
        "CODEWORDS_FILES": str(folder / "files"),
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(start_runtime(make_home(folder / f"home {n}"), **shared)).url
            for n in range(2)
        ]
