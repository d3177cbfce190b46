"""Bodies that are sent on as they come: whole, in order, no faster than they are read, and broken off where the provider does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from codewords_mcp.errors import CodewordsError
from codewords_mcp.http.middleware.client_connection import ClientConnection, hang_ups_of
from codewords_mcp.http.middleware.protocol import BoundedProtocol
from codewords_mcp.http.middleware.response_transport import RESPONSE
from codewords_mcp.http.routes.gateway import pass_on
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.exchange import ProviderCall
from codewords_mcp.runtime.gateway.http_connection import PhaseTimeouts
from codewords_mcp.runtime.gateway.providers import find_route
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.upstream import Upstream
from codewords_mcp.runtime.model.model_errors import ProviderTimedOut, ProviderUnavailable
from codewords_mcp.runtime.model.provider import GatewayResponse

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:wire")]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUTS = PhaseTimeouts(connect=30, first_byte=30, between_chunks=30, total=60)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ADA = CallAttribution("ada", "")
PIECE = b"x" * (64 << 10)


class Settled:
    """Notes how calls were settled."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def settle(self, call: ProviderCall, reading: Reading) -> None:
        assert reading is not None
        self.failures.append(call.failure)


class Sink:
    """Takes so many pieces before it wants to be drained."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.pieces: list[bytes] = []
        self.drained = self._taken = 0
        self._room = room

    def write(self, piece: bytes) -> bool:
        assert self._taken < self._room, "written while it was full"
        self.pieces.append(piece)
        self._taken += 1
        return self._taken < self._room

    async def drain(self) -> None:
        for _ in range(20):  # turns of the loop, in which the provider sends on
            await asyncio.sleep(0)
        self.drained += 1
        self._taken = 0


def slowly(*pieces: bytes, pause: float = 0.01, closes: bool = True) -> Serve:
    """Answers one request with these, each in a packet of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        if not closes:
            await reader.read()

    return serve


@asynccontextmanager
async def called(
    serve: Serve, timeouts: PhaseTimeouts = TIMEOUTS
) -> AsyncGenerator[Callable[[], Awaitable[tuple[ProviderCall, Settled]]]]:
    """Makes calls of a provider that is served so."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    upstream = Upstream(timeouts)

    async def call() -> tuple[ProviderCall, Settled]:
        settled = Settled()
        found = ProviderCall(find_route("openai", "GET", "/models", run_mount=False), ADA, None, settled)
        found.on_response(await upstream.request("OpenAI", "GET", (url, "/models"), [], None))
        return found, settled

    listening = await asyncio.start_server(served, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield call
        await upstream.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("room", [1, 2, 1 << 30])
@pytest.mark.parametrize(
    "said",
    [
        [CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n5\r\nthree\r\n", b"0\r\n\r\n"],
        [CHUNKED, b"3\r\no", b"ne\r\n8\r\ntwothree\r\n0\r\n\r", b"\n"],
        [CHUNKED + b"b\r\nonetwothree\r\n0\r\nTrailer: x\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\none", b"two", b"three"],
        [b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"one", b"two", b"three"],
    ],
)
async def test_a_body_is_pushed_whole_in_order_and_only_where_there_is_room(
    said: list[bytes], room: int
) -> None:
    async with called(slowly(*said)) as call:
        found, settled = await call()
        sink = Sink(room)
        last = await found.relay().push(sink)
        await found.close()

    assert b"".join(sink.pieces) + last == b"onetwothree"
    assert settled.failures == [""]
    assert bool(sink.drained) == (room <= len(sink.pieces))


@pytest.mark.parametrize(
    "said", [[CHUNKED + b"3\r\none\r\n", b"3\r\nt"], [CHUNKED + b"3\r\none\r\n", b"zz\r\n"]]
)
async def test_what_came_before_a_break_is_passed_on_and_the_break_is_told(said: list[bytes]) -> None:
    async with called(slowly(*said)) as call:
        found, settled = await call()
        sink = Sink()
        with pytest.raises(ProviderUnavailable, match="broke off"):
            await found.relay().push(sink)
        await found.close()

    assert b"".join(sink.pieces).startswith(b"one")
    assert settled.failures == ["cut_short"]


async def test_silence_ends_a_pushed_body_but_a_slow_one_goes_on() -> None:
    timeouts = TIMEOUTS._replace(between_chunks=0.3)
    said = [CHUNKED, *[b"1\r\nx\r\n"] * 20]
    async with called(slowly(*said, pause=0.05, closes=False), timeouts) as call:
        found, settled = await call()
        sink = Sink()
        with pytest.raises(ProviderTimedOut):
            await found.relay().push(sink)
        await found.close()

    # It took three times as long as a silence may last.
    assert b"".join(sink.pieces) == b"x" * 20
    assert settled.failures == ["cut_short"]


async def test_the_whole_time_ends_a_body_that_goes_on_for_ever() -> None:
    timeouts = TIMEOUTS._replace(total=0.3)
    async with called(slowly(CHUNKED, *[b"1\r\nx\r\n"] * 100, pause=0.02), timeouts) as call:
        found, _ = await call()
        with pytest.raises(ProviderTimedOut):
            await found.relay().push(Sink())
        await found.close()


async def test_a_client_that_reads_slowly_makes_the_provider_wait_and_gets_every_byte() -> None:
    count, sent = 800, 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        for _ in range(count):
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n")

    async with called(serve) as call, front(call) as (port, errors):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.3)
        # Of 50 MB, what fits into buffers of three sockets and of two programs.
        assert sent < count / 2
        received = 0
        while size := (await reader.readuntil(b"\r\n")).rstrip():
            received += len(await reader.readexactly(int(size, 16)))
            await reader.readexactly(2)
            if size == b"0":
                break
        writer.close()

    assert received == count * len(PIECE)
    assert errors == []


async def test_a_break_in_the_middle_is_a_break_for_the_client_too() -> None:
    said = [CHUNKED + b"3\r\none\r\n", b"5\r\nt"]
    async with called(slowly(*said)) as call, front(call) as (port, errors):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert b"3\r\none\r\n" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert [type(error) for error in errors] == [ProviderUnavailable]


async def test_a_client_that_hangs_up_between_two_pieces_ends_the_call() -> None:
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + b"3\r\none\r\n")
        assert await reader.read() == b""
        ended.set()

    async with called(serve) as call, front(call) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"one\r\n")
        writer.close()
        await asyncio.wait_for(ended.wait(), 10)


@asynccontextmanager
async def front(
    call: Callable[[], Awaitable[tuple[ProviderCall, Settled]]],
) -> AsyncGenerator[tuple[int, list[CodewordsError]]]:
    """Our own server, whose every request is answered by such a call: its port, and what the calls failed with."""
    errors: list[CodewordsError] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with ClientConnection(
            receive, scope["headers"], limit=10, body_first=True, hang_ups=hang_ups_of(scope)
        ) as connection:
            found, _ = await call()
            reply = GatewayResponse(found.status, [], found.relay(), found.close, lambda: None)
            try:
                await pass_on(reply, connection, send, scope["state"][RESPONSE])
            except CodewordsError as error:
                errors.append(error)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, loop="none")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield listening.getsockname()[1], errors
        finally:
            server.should_exit = True
            await serving
