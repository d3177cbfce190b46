"""A program of a recorded run sees the bytes that its host sent, however they come and end; and so does the host."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import socket
import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.egress.helpers import Recorded, recorded
from tests.integration.secrets.interception import FREE
from tests.integration.secrets.tls_host import Ca, raw_host
from tests.support.egress import serving

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("recording:untouched")]

REQUEST = b"POST /x?a=%00 HTTP/1.1\r\nhOsT: x\r\nX-Odd:\t a \r\nContent-Length: 5\r\n\r\n\x00\xff\r\n\r"
BINARY = bytes(range(256)) * 2000
TWICE = gzip.compress(gzip.compress(BINARY))


def chunked(*pieces: bytes) -> list[bytes]:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: X-Sum\r\n\r\n"
    return [head, *(b"%x;q=1\r\n%b\r\n" % (len(one), one) for one in pieces), b"0\r\nX-Sum: 1\r\n\r\n"]


def sized(body: bytes, *more: bytes) -> list[bytes]:
    lines = b"".join(line + b"\r\n" for line in more)
    head = b"HTTP/1.1  200   fine words\r\n%bContent-Length: %d\r\n\r\n" % (lines, len(body))
    return [head, body[:10], body[10:]]


SCRIPTS: dict[str, list[bytes]] = {
    "events in small pieces": chunked(*(b"data: %d\n\n" % n for n in range(200))),
    "binary": sized(BINARY),
    "gzip twice": sized(TWICE, b"Content-Encoding: gzip, gzip"),
    "br": sized(b"not really", b"Content-Encoding: br"),
    "without a length": [b"HTTP/1.0 200 OK\r\n\r\n", BINARY],
    "shorter than it says": [b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n", BINARY],
    "longer than it says": [b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", BINARY],
    "no HTTP after all": [b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", BINARY],
    "a chunk that is none": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", BINARY],
}


@dataclass
class Script:
    """A host that sends one piece after the other, each once the program has the one before."""

    pieces: list[bytes]
    resets: bool = False
    heard: bytes = b""
    taken: asyncio.Queue[None] = field(default_factory=asyncio.Queue[None])

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard = await reader.readexactly(len(REQUEST))
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await self.taken.get()
        if self.resets:
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


async def asked(stand: Recorded, port: int, script: Script, *, secure: bool) -> tuple[bytes, bool]:
    """(all that the program got, whether its connection was reset)."""
    context = stand.stage.context if secure else None
    if context is not None:
        context.set_alpn_protocols(["http/1.1"])
    reader, writer = await stand.open(port, context)
    writer.write(REQUEST)
    got = b""
    try:
        for piece in script.pieces:
            got += await reader.readexactly(len(piece))
            script.taken.put_nowait(None)
        return got + await reader.read(), False
    except OSError:
        return got, True
    finally:
        writer.close()


@pytest.mark.parametrize("secure", [True, False], ids=["tls", "plain"])
async def test_a_program_and_its_host_see_each_others_bytes_and_the_end_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    ca = Ca(tmp_path)
    current = Script([])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await current.answer(reader, writer)

    async with serving(answer) as plain, raw_host(ca, FREE, answer) as tls:
        port = tls.port if secure else plain
        async with recorded(tmp_path, monkeypatch, port, ca=ca, secrets={"KEY": "not-in-any-body"}) as stand:
            for count, (name, pieces) in enumerate(SCRIPTS.items(), 1):
                for resets in (False, True):
                    current = Script(pieces, resets)
                    got, was_reset = await asked(stand, port, current, secure=secure)
                    sent = hashlib.sha256(b"".join(pieces)).hexdigest()
                    assert (hashlib.sha256(got).hexdigest(), current.heard) == (sent, REQUEST), name
                    assert was_reset == resets, name
                exchanges = await stand.exchanges(2 * count)
                assert len(exchanges) == 2 * count, name
                assert exchanges[-1].request.body == REQUEST[-5:]


async def test_a_program_that_hangs_up_in_the_middle_ends_its_host_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(REQUEST))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nbegin")
        await writer.drain()
        await reader.read()
        ended.set()

    ca = Ca(tmp_path)
    async with raw_host(ca, FREE, answer) as host, recorded(tmp_path, monkeypatch, host.port, ca=ca) as stand:
        context = stand.stage.context
        context.set_alpn_protocols(["http/1.1"])
        reader, writer = await stand.open(host.port, context)
        writer.write(REQUEST)
        await reader.readuntil(b"begin")
        writer.transport.abort()
        await ended.wait()
        (exchange,) = await stand.exchanges(1)
    assert (exchange.body, exchange.whole) == (b"begin", False)
    assert exchange.why_not_replayable == "its response was not read to its end"
    assert stand.stage.interception.unread == {}


async def test_a_thousand_equal_requests_at_once_get_the_answers_of_their_own_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, each = 100, 10
    request = b"GET /same HTTP/1.1\r\nHost: x\r\n\r\n"
    numbers = iter(range(connections))
    all_asked = asyncio.Barrier(connections)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = next(numbers)
        await reader.readexactly(len(request) * each)
        # Nobody is answered before everybody has asked.
        await all_asked.wait()
        for one in range(each):
            body = hashlib.sha256(b"%d/%d" % (mine, one)).digest() * 100
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        await reader.read()
        writer.close()

    async def ask(stand: Recorded, port: int) -> list[bytes]:
        reader, writer = await stand.open(port)
        writer.write(request * each)
        found: list[bytes] = []
        for _ in range(each):
            await reader.readuntil(b"\r\n\r\n")
            found.append(await reader.readexactly(3200))
        writer.close()
        return found

    async with serving(answer) as port, recorded(tmp_path, monkeypatch, port) as stand:
        answers = await asyncio.gather(*(ask(stand, port) for _ in range(connections)))
        exchanges = await stand.exchanges(connections * each)
    got = [body for one in answers for body in one]
    assert len(set(got)) == connections * each
    assert sorted(one.body for one in exchanges) == sorted(got)
    assert all(one.replayable for one in exchanges)
