"""The client to a workflow's socket, against servers that behave and servers that don't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from codewords_mcp.common.http1 import Headers
from codewords_mcp.errors import InvalidInput, ProgramFailed
from codewords_mcp.runtime.sandboxes import http1

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("sandbox:http")]

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(path: Path, handler: Handler) -> AsyncGenerator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(handle, str(path / "s"))
    try:
        yield str(path / "s")
    finally:
        server.close()
        await server.wait_closed()


def saying(answer: bytes) -> Handler:
    """Reads a request's head, answers, hangs up."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return handler


async def get(path: str, method: str = "GET") -> tuple[int, Headers, bytes]:
    async with asyncio.timeout(120):
        reply = await http1.request(path, method, b"/", [], None)
        return reply.status, reply.headers, b"".join([chunk async for chunk in reply.body])


async def parts(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


Read = tuple[int, Headers, bytes]
WELL_SAID: list[tuple[bytes, Read]] = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, [(b"content-length", b"2")], b"ok")),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", (200, [], b"ok")),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: 1\r\n\r\n", (200, [], b"ok")),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n", (200, [], b"x" * 200_000)),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, [], b"until the end")),
    (b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", (204, [(b"x-a", b"1")], b"")),
    (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, [(b"content-length", b"0")], b"")),
    (b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\nContent-Length: 0\r\n\r\n", (200, [(b"a", b"1"), (b"a", b"2"), (b"content-length", b"0")], b"")),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 Again\r\n\r\n", (200, [(b"content-length", b"2")], b"ok")),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), WELL_SAID)
async def test_answers_are_read_as_http_says(
    tmp_path: Path, answer: bytes, expected: tuple[int, Headers, bytes]
) -> None:
    async with serving(tmp_path, saying(answer)) as path:
        assert await get(path) == expected


async def test_an_answer_to_head_has_no_body_whatever_its_length_says(tmp_path: Path) -> None:
    async with serving(tmp_path, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")) as path:
        assert await get(path, "HEAD") == (200, [(b"content-length", b"100")], b"")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "The workflow closed the connection before it answered."),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "The workflow closed the connection before it answered."),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "The workflow closed the connection half-way through its answer."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha", "The workflow closed the connection half-way through its answer."),
        (b"hello, I speak no HTTP\r\n\r\n", "The workflow's answer is not valid HTTP/1.1."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "The workflow's answer is not valid HTTP/1.1."),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "The workflow switched protocols although nobody asked for that."),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * (300 << 10), "The workflow's answer has headers over 256 KiB."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: " + b"x" * (600 << 10), "The workflow's answer has trailers over 256 KiB."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + b"A: x\r\n" * 120_000, "The workflow's answer has trailers over 256 KiB."),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;" + b"x" * (600 << 10), "The workflow's answer has trailers over 256 KiB."),
    ],
)  # fmt: skip
async def test_a_bad_answer_is_the_program_s_failure(tmp_path: Path, answer: bytes, message: str) -> None:
    async with serving(tmp_path, saying(answer)) as path:
        with pytest.raises(ProgramFailed) as caught:
            await get(path)
    assert (caught.value.code, caught.value.message) == ("program_bad_reply", message)


async def test_a_socket_without_a_server_is_the_program_s_failure(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailed, match="no longer running"):
        await get(str(tmp_path / "absent"))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with the request's own bytes, as far as they came in one turn."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = b""
    if b"chunked" in head:
        body = await reader.readuntil(b"0\r\n\r\n")
    elif b"content-length: " in head:
        body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    data = head + body
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(data) + data)


@pytest.mark.parametrize(
    ("method", "headers", "chunks", "expected"),
    [
        ("GET", [(b"X-A", b"1")], None, b"X-A: 1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
        ("POST", [], None, b"host: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
        ("POST", [(b"Host", b"h"), (b"Content-Length", b"4")], [b"ab", b"", b"cd"], b"Host: h\r\ncontent-length: 4\r\nconnection: close\r\n\r\nabcd"),
        ("PUT", [(b"Connection", b"keep-alive"), (b"Transfer-Encoding", b"gzip")], [b"ab", b"c"],
         b"host: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ("PATCH", [], [], b"host: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n"),
    ],
)  # fmt: skip
async def test_requests_are_framed_as_http_says(
    tmp_path: Path, method: str, headers: Headers, chunks: list[bytes] | None, expected: bytes
) -> None:
    async with serving(tmp_path, echo) as path, asyncio.timeout(120):
        reply = await http1.request(
            path, method, b"/a?b=%20", headers, None if chunks is None else parts(*chunks)
        )
        sent = b"".join([chunk async for chunk in reply.body])
    assert sent == method.encode() + b" /a?b=%20 HTTP/1.1\r\n" + expected


@pytest.mark.parametrize(
    ("target", "header"),
    [(b"/ HTTP/1.1\r\nx: y", (b"a", b"b")), (b"", (b"a", b"b")), (b"/", (b"a\r\n", b"b")), (b"/", (b"a", b"b\r\nc: d")), (b"/", (b"content-length", b"+1"))],
)  # fmt: skip
async def test_what_http_cannot_carry_is_refused_before_it_is_sent(
    tmp_path: Path, target: bytes, header: tuple[bytes, bytes]
) -> None:
    with pytest.raises(InvalidInput):
        await http1.request(str(tmp_path / "s"), "POST", target, [header], parts(b"x"))


@pytest.mark.parametrize(
    ("chunks", "message"),
    [([b"abc"], "ended after 3 of 5 bytes"), ([b"abcdef"], "longer than its Content-Length of 5 bytes")],
)
async def test_a_body_that_belies_its_length_is_refused(
    tmp_path: Path, chunks: list[bytes], message: str
) -> None:
    async with serving(tmp_path, echo) as path, asyncio.timeout(120):
        with pytest.raises(InvalidInput, match=message):
            await http1.request(path, "POST", b"/", [(b"content-length", b"5")], parts(*chunks))


async def test_a_body_whose_sender_breaks_off_is_refused(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("the caller hung up")

    async with serving(tmp_path, echo) as path, asyncio.timeout(120):
        with pytest.raises(InvalidInput, match="broke off"):
            await http1.request(path, "POST", b"/", [], broken())


async def test_an_early_answer_is_heard_while_the_body_is_still_being_sent(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async with (
        serving(tmp_path, saying(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")) as path,
        asyncio.timeout(120),
    ):
        reply = await http1.request(path, "POST", b"/", [], endless())
        assert reply.status == 413
        await reply.aclose()


async def test_an_unread_answer_makes_the_program_wait(tmp_path: Path) -> None:
    sent = 0
    stuck = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (16 << 20))
        for _ in range(256):
            writer.write(bytes(65536))
            sent += 65536
            try:
                await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(writer.drain())), 0.2)
            except TimeoutError:
                stuck.set()
                await writer.drain()

    async with serving(tmp_path, flood) as path, asyncio.timeout(120):
        reply = await http1.request(path, "GET", b"/", [], None)
        await stuck.wait()
        assert sent < 4 << 20
        assert sum([len(chunk) async for chunk in reply.body]) == 16 << 20


@pytest.mark.parametrize("how", ["cancelled while waiting", "closed half-way"])
async def test_hanging_up_closes_the_connection(tmp_path: Path, how: str) -> None:
    closed = asyncio.Event()
    asked = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        if how == "closed half-way":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
        assert await reader.read() == b""
        closed.set()

    async with serving(tmp_path, handler) as path, asyncio.timeout(120):
        asking = asyncio.create_task(http1.request(path, "GET", b"/", [], None))
        await asked.wait()
        if how == "closed half-way":
            reply = await asking
            await reply.aclose()
            await reply.aclose()
        else:
            asking.cancel()
        await closed.wait()
