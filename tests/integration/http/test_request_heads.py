"""What comes before a request is one is bounded in bytes, in time and in number; whoever sends it has shown no key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.integration.http.helpers import deploy_probe, open_door
from tests.support.http_runtime import ADMIN_KEY, Door, Wire
from tests.support.waiting import until

from codewords_mcp.http.middleware.protocol import MAX_HEAD, BoundedProtocol

pytestmark = pytest.mark.requirement("http:heads")

PIECE = b"x" * 4096
START = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
CHUNKED = (
    b"POST /keys HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: " + ADMIN_KEY.encode()
    + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)  # fmt: skip


def pour(wire: Wire, piece: bytes) -> int:
    """Send it again and again until the server hangs up or answers; how many bytes it took."""
    sent = 0
    wire.raw.setblocking(False)
    try:
        while sent < 1024 * MAX_HEAD:
            try:
                sent += wire.raw.send(piece)
            except BlockingIOError:
                continue
            try:
                wire.unread += wire.raw.recv(65536)
                break
            except BlockingIOError:
                pass
    except (BrokenPipeError, ConnectionResetError):
        pass
    wire.raw.setblocking(True)
    return sent


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"GET /", PIECE),
        (START + b"X-Long: ", PIECE),
        (START, b"X-One: of many\r\n" * 300),
        (START + b"X", PIECE),
        (CHUNKED + b"1;", PIECE),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: of many\r\n" * 300),
    ],
    ids=["path", "value", "headers", "name", "chunk extension", "trailers"],
)
def test_a_head_without_end_is_refused_when_it_is_too_large(
    door: Door, http: httpx.Client, start: bytes, piece: bytes
) -> None:
    with door.connect() as wire:
        wire.send(start)
        assert pour(wire, piece) < 1024 * MAX_HEAD, "it is not read on for ever"
    assert http.get("/healthz").status_code == 200


def test_it_is_told_in_words_and_a_large_head_that_has_an_end_is_served(door: Door) -> None:
    with door.connect() as wire:
        wire.send(START + b"X-Long: " + b"x" * (MAX_HEAD + 1))
        assert "431" in wire.head()
        assert wire.until(b"never") == b"", "and the connection is closed"
    with door.connect() as wire:
        wire.send(START + b"X-Long: " + b"x" * (MAX_HEAD - 200) + b"\r\n\r\n")
        assert "200 ok" in wire.head()


def test_a_body_in_many_small_pieces_is_no_head(door: Door) -> None:
    body = json.dumps({"owner": "many-pieces"}).rjust(MAX_HEAD // 4)
    with door.connect() as wire:
        wire.send(CHUNKED + b"".join(b"1\r\n%c\r\n" % byte for byte in body.encode()) + b"0\r\n\r\n")
        assert "201 created" in wire.head()


def rest_of(wire: Wire) -> bytes:
    """Read until the server closes; it resets a connection of which it has not read all."""
    try:
        return wire.until(b"never")
    except ConnectionResetError:
        return wire.unread


class Impatient(BoundedProtocol):
    head_timeout = 0.3


class Crowded(BoundedProtocol):
    max_waiting = 20


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with open_door(tmp_path_factory.mktemp("impatient"), Impatient) as opened:
        yield opened


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", START], ids=["nothing", "a line", "some headers"])
def test_a_head_that_does_not_come_is_waited_for_and_then_no_more(impatient: Door, sent: bytes) -> None:
    with impatient.connect() as wire:
        wire.send(sent)
        answer = wire.until(b"never")
        assert (b"408" in answer) == bool(sent)


def test_the_next_head_on_a_connection_is_bounded_too_and_a_quiet_one_is_kept(
    impatient: Door,
) -> None:
    with impatient.connect() as quiet, impatient.connect() as slow:
        for wire in (quiet, slow):
            wire.request("GET", "/healthz")
            wire.until(b"}")
        slow.send(START)
        assert "408" in slow.head()
        quiet.request("GET", "/healthz")
        assert "200 ok" in quiet.head()


def test_many_connections_without_a_request_make_room_for_those_that_come_and_end_no_request(
    tmp_path: Path,
) -> None:
    with ExitStack() as stack:
        door = stack.enter_context(open_door(tmp_path, Crowded))
        probe = deploy_probe(door)
        answered = stack.enter_context(door.connect())
        answered.request("POST", f"/run/{probe}/echo", "Content-Length: 1")
        lazy = [stack.enter_context(door.connect()) for _ in range(60)]
        for wire in lazy:
            wire.send(START)
        until(
            lambda: len(BoundedProtocol.waiting) <= Crowded.max_waiting,
            "those that waited longest to be closed",
        )
        for wire in lazy[:30]:
            assert rest_of(wire) == b""
        with door.client() as client:
            assert client.get("/healthz").status_code == 200
        lazy[-1].send(b"\r\n")
        assert "200 ok" in lazy[-1].head(), "those that came last are there"
        answered.send(b"x")
        assert "200 ok" in answered.head(), "and so is one with a request"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "QUERY"])
def test_a_request_that_offers_a_websocket_and_is_no_get_is_answered_as_if_it_did_not(
    door: Door, method: str
) -> None:
    """A handshake is a GET; of another request the websocket's parser would wait for more, without a bound."""
    with door.connect() as wire:
        wire.request(method, "/nowhere", "Upgrade: websocket", "Connection: Upgrade", "Content-Length: 2")
        wire.send(b"{}")
        assert "404 not found" in wire.head()
