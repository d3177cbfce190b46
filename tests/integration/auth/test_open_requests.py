"""What is open when a right is taken away: streams, calls and websockets of keys and sessions end, those of others go on."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from tests.support.browser_client import Browser
from tests.support.certificates import TRUSTS_NONE
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import make_home, workflow
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("members:open-requests")]
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
KEY, ENDS_WITHIN = "cwk-home-of-open-requests", 20.0
MCP = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
_names = (f"guest-{number}" for number in itertools.count(1))


def client(url: str, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
        trust_env=False,
        verify=TRUSTS_NONE,
    )


class Guest:
    """A member with the role author: a key, and a browser that is signed in. `urls` are those of the replicas, one or two.

    What the guest opens is at the first; `take` asks the last one.
    """

    def __init__(self, urls: list[str], stack: ExitStack) -> None:
        self.url, self.name = urls[0], next(_names)
        self.stack = stack
        self.home = stack.enter_context(client(urls[-1], KEY))
        invited = self.home.post("/members", json={"name": self.name, "role": "author"})
        assert invited.status_code == 201, invited.text
        self.browser = stack.enter_context(Browser(base_url=self.url))
        link = invited.json()["url"].replace(urls[-1], self.url)
        assert self.browser.submit(link).status_code == 303
        self.own = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", "X-Codewords-Console": "1"}
        made = self.home.post("/keys", json={"member": self.name, "kind": "user"})
        self.key, self.key_id = made.json()["key"], made.json()["id"]
        self.http = stack.enter_context(client(self.url, self.key))

    def take(self, what: str) -> None:
        """Take a right away: remove the member, revoke the key, end the session, or lower the role."""
        if what == "member":
            done = self.home.delete(f"/members/{self.name}")
        elif what == "key":
            done = self.home.delete(f"/keys/{self.key_id}")
        elif what == "session":
            [session] = [s for s in self.home.get("/sessions").json()["items"] if s["member"] == self.name]
            done = self.home.delete(f"/sessions/{session['id']}")
        else:
            done = self.home.put(f"/members/{self.name}", json={"role": "viewer"})
        assert done.is_success, done.text

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


def stream_of(guest: Guest, response: httpx.Response) -> Callable[[], list[str]]:
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


def opened(guest: Guest, http: httpx.Client, path: str, **headers: str) -> Callable[[], list[str]]:
    response = guest.stack.enter_context(http.stream("GET", path, headers=headers, timeout=ENDS_WITHIN))
    return stream_of(guest, response)


def started(guest: Guest, workflow_id: str) -> None:
    """Wait until the program of the guest's run has begun."""

    def waits() -> bool:
        runs = guest.home.get(f"/runs?service_id={workflow_id}&status=running").json()["items"]
        return any("waiting" in guest.home.get(f"/logs/{run['id']}?follow=false").text for run in runs)

    until(waits, "the program to run", ENDS_WITHIN)


def no_run_goes_on(guest: Guest, workflow_id: str) -> None:
    until(
        lambda: not guest.home.get(f"/runs?service_id={workflow_id}&status=running").json()["items"],
        "the run to end as if its caller had hung up",
        ENDS_WITHIN,
    )


def mcp_stream(guest: Guest, _workflow: str) -> Ended:
    headers = guest.initialize()
    lines = opened(guest, guest.http, "/mcp", **headers)

    def ended() -> None:
        lines()
        assert guest.ping(headers) in {401, 404}, "the session has ended as well"

    return ended


def mcp_call(guest: Guest, workflow_id: str) -> Ended:
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


def sse(guest: Guest, _workflow: str) -> Ended:
    return opened(guest, guest.http, "/sse", Accept="text/event-stream")


def websocket(guest: Guest, workflow_id: str) -> Ended:
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


def log(guest: Guest, workflow_id: str) -> Ended:
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


def synchronous_run(guest: Guest, workflow_id: str) -> Ended:
    response = in_thread(lambda: guest.browser.get(f"/run/{workflow_id}/", headers=guest.own))
    started(guest, workflow_id)

    def ended() -> None:
        answer = response()
        assert answer is not None
        assert answer.status_code == 401
        assert "ended while this was open" in answer.json()["error"]["message"]
        no_run_goes_on(guest, workflow_id)

    return ended


def console_stream(guest: Guest, _workflow: str) -> Ended:
    return opened(guest, guest.browser, "/events", **guest.own)


BY_KEY, BY_SESSION = (mcp_stream, mcp_call, sse, websocket, log), (synchronous_run, console_stream)
CASES = [
    *((opens, what) for opens in BY_KEY for what in ("member", "key", "role")),
    *((opens, what) for opens in BY_SESSION for what in ("member", "session", "role")),
]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    home = make_home(tmp_path_factory.mktemp("open requests") / "home")
    with Door(Settings.model_validate({"home": home, "port": 0, "api_key": KEY})) as door:
        yield [door.url]


@pytest.fixture(scope="module")
def two(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    folder = tmp_path_factory.mktemp("open requests of two")
    shared = {
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


def deploy(urls: list[str]) -> str:
    with client(urls[0], KEY) as home:
        deployed = home.post("/deploy", json={"code": LASTING, "name": "Lasting", "allow": True})
        return str(deployed.json()["service_id"])


@pytest.fixture(scope="module")
def of_one(one: list[str]) -> str:
    return deploy(one)


@pytest.fixture(scope="module")
def of_two(two: list[str]) -> str:
    return deploy(two)


def check(urls: list[str], workflow_id: str, opens: Callable[[Guest, str], Ended], what: str) -> None:
    with ExitStack() as stack:
        other, guest = Guest(urls, stack), Guest(urls, stack)
        session = other.initialize()
        ended = opens(guest, workflow_id)
        guest.take(what)
        ended()
        assert other.ping(session) == 200, "another member's goes on"
        if what == "role":
            assert guest.http.get("/me").json()["member"]["role"] == "viewer"


@pytest.mark.parametrize(("opens", "what"), CASES)
def test_it_ends_with_the_right_by_which_it_was_opened(
    one: list[str], of_one: str, opens: Callable[[Guest, str], Ended], what: str
) -> None:
    check(one, of_one, opens, what)


@pytest.mark.parametrize(
    ("opens", "what"),
    [(mcp_stream, "member"), (websocket, "key"), (console_stream, "session"), (mcp_call, "role")],
)
def test_it_ends_where_another_replica_takes_the_right_away(
    two: list[str], of_two: str, opens: Callable[[Guest, str], Ended], what: str
) -> None:
    check(two, of_two, opens, what)


def test_a_console_hears_that_it_is_signed_out(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        lines = opened(guest, guest.browser, "/events", **guest.own)
        guest.take("session")
        assert "event: signed-out" in lines()


def test_a_key_that_ends_with_its_time_ends_what_is_open(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        made = guest.home.post("/keys", json={"member": guest.name, "kind": "user", "expires_in": 3})
        http = stack.enter_context(client(guest.url, made.json()["key"]))
        opened(guest, http, "/sse", Accept="text/event-stream")()


def test_whoever_takes_the_own_right_away_is_told_that_it_was_done(one: list[str]) -> None:
    with ExitStack() as stack:
        guest = Guest(one, stack)
        [session] = guest.browser.get("/sessions", headers=guest.own).json()["items"]
        assert guest.browser.delete(f"/sessions/{session['id']}", headers=guest.own).is_success
        assert guest.browser.get("/me", headers=guest.own).status_code == 401
