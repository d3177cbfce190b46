"""The wire: whatever a server sends, an answer is whole, or broken off and said so; connections are kept only where safe."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from codewords_mcp.common.http1 import ConnectionBrokenError
from codewords_mcp.runtime.gateway.connection_pool import ProviderResponse
from codewords_mcp.runtime.gateway.http_connection import PhaseTimeouts, ProviderConnection
from codewords_mcp.runtime.gateway.upstream import Base, Upstream
from codewords_mcp.runtime.model.model_errors import ProviderTimedOut, ProviderUnavailable

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:wire")]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUTS = PhaseTimeouts(connect=30, first_byte=30, between_chunks=30, total=60)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"


@asynccontextmanager
async def server(
    serve: Serve, *, context: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[int, list[int]]]:
    """(its port, a number for each connection that was made)."""
    made: list[int] = []
    serving: set[asyncio.Task[None]] = set()

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(len(made))
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await _closed(writer)

    listening = await asyncio.start_server(counted, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname()[1], made
        await asyncio.wait_for(asyncio.gather(*serving, return_exceptions=True), 30)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


def saying(*answers: bytes) -> Serve:
    """Answers each request of a connection with the next of these; closes after the last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return serve


async def get(upstream: Upstream, url: str, method: str = "GET") -> tuple[ProviderResponse, bytes]:
    answer = await upstream.request("OpenAI", method, (url, "/x?y=1"), [(b"a", b"b")], None)
    return answer, b"".join([chunk async for chunk in answer.chunks()])


@asynccontextmanager
async def wired(timeouts: PhaseTimeouts = TIMEOUTS) -> AsyncGenerator[Upstream]:
    upstream = Upstream(timeouts)
    try:
        yield upstream
    finally:
        await upstream.close()
        await asyncio.sleep(0)  # what is aborted is closed by the loop


@pytest.mark.parametrize(
    ("answers", "connections"),
    [
        ((WHOLE, WHOLE), 1),
        ((b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\n" + WHOLE, WHOLE), 1),
        (
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", WHOLE),
            1,
        ),
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello",), 2),
        ((b"HTTP/1.1 200 OK\r\n\r\nhello",), 2),
        ((WHOLE + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nunasked",), 2),
    ],
)
async def test_a_whole_answer_is_read_and_its_connection_kept_where_that_is_safe(
    answers: tuple[bytes, ...], connections: int
) -> None:
    async with server(saying(*answers)) as (port, made), wired() as upstream:
        for _ in range(2):
            answer, body = await get(upstream, f"http://127.0.0.1:{port}")
            assert (answer.status, body) == (200, b"hello")
        assert len(made) == connections


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x-header: y\r\n" * 30_000,
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
async def test_what_ends_before_its_head_or_is_no_http_has_broken_off(said: bytes) -> None:
    async with server(saying(said)) as (port, _), wired() as upstream:
        with pytest.raises(ProviderUnavailable, match="broke off") as caught:
            await get(upstream, f"http://127.0.0.1:{port}")
        assert caught.value.reached


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ],
)
async def test_a_body_that_ends_early_is_not_taken_for_a_whole_one(said: bytes) -> None:
    async with server(saying(said)) as (port, _), wired() as upstream:
        answer = await upstream.request("OpenAI", "GET", (f"http://127.0.0.1:{port}", "/"), [], None)
        with pytest.raises(ConnectionBrokenError):
            assert [chunk async for chunk in answer.chunks()] == [b"hello"]


async def test_a_reader_that_is_slow_makes_the_provider_wait_instead_of_filling_memory() -> None:
    piece, count = b"x" * (128 << 10), 200

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            writer.write(piece)
            await writer.drain()

    async with server(serve) as (port, _), wired() as upstream:
        url = f"http://127.0.0.1:{port}"
        answer = await upstream.request("OpenAI", "GET", (url, "/"), [], None)
        size = largest = 0
        async for chunk in answer.chunks():
            size += len(chunk)
            largest = max(largest, len(chunk))
            for _ in range(50):  # turns of the loop, in which the provider could send it all
                await asyncio.sleep(0)
    assert size == len(piece) * count
    assert largest <= 2 * ProviderConnection.max_unread


async def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n"
    async with server(saying(said)) as (port, _), wired() as upstream:
        answer, body = await get(upstream, f"http://127.0.0.1:{port}", "HEAD")
        assert (answer.header(b"content-length"), body) == ("500", b"")


async def test_bodies_go_out_with_their_length_or_in_chunks_and_an_early_answer_is_heard() -> None:
    seen = asyncio.Queue[bytes]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        while b"/early" not in head:
            head = await reader.readuntil(b"\r\n\r\n")
            await seen.put(head)
            if b"content-length: 5" in head:
                await seen.put(await reader.readexactly(5))
            elif b"/early" not in head:
                await seen.put(await reader.readuntil(b"0\r\n\r\n"))
            writer.write(WHOLE)
            await writer.drain()
        await reader.read()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"hel"
        yield b"lo"

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    async with server(serve) as (port, _), wired() as upstream:
        for body, length, sent in (
            (b"hello", None, b"hello"),
            (pieces(), 5, b"hello"),
            (pieces(), None, b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        ):
            where = (f"http://127.0.0.1:{port}", "/x")
            answer = await upstream.request("OpenAI", "POST", where, [], body, length)
            assert b"".join([chunk async for chunk in answer.chunks()]) == b"hello"
            assert (await seen.get()).startswith(b"POST /x HTTP/1.1\r\nhost: 127.0.0.1")
            assert await seen.get() == sent
        early = await upstream.request(
            "OpenAI", "POST", (f"http://127.0.0.1:{port}", "/early"), [], endless()
        )
        assert [chunk async for chunk in early.chunks()] == [b"hello"]


@pytest.mark.requirement("gateway:timeouts")
@pytest.mark.parametrize(
    ("said", "timeouts"),
    [
        (b"", TIMEOUTS._replace(first_byte=0.05)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", TIMEOUTS._replace(between_chunks=0.05)),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello", TIMEOUTS._replace(total=0.05)),
    ],
)
async def test_each_phase_has_its_own_time(said: bytes, timeouts: PhaseTimeouts) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        assert await reader.read() == b""  # until the other side gives up

    async with server(serve) as (port, _), wired(timeouts) as upstream:
        where = (f"http://127.0.0.1:{port}", "/")
        if not said:
            with pytest.raises(ProviderTimedOut):
                await upstream.request("OpenAI", "GET", where, [], None)
            return
        answer = await upstream.request("OpenAI", "GET", where, [], None)
        with pytest.raises(TimeoutError):
            assert [chunk async for chunk in answer.chunks()] == [b"hello"]
        answer.close()


async def test_nobody_there_is_told_as_never_reached() -> None:
    async with wired() as upstream:
        with pytest.raises(ProviderUnavailable, match="could not be reached") as caught:
            await get(upstream, "http://127.0.0.1:9")
        assert not caught.value.reached


def _certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that signs itself, and a server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "wire")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, secret)
    return certificate, context


async def test_tls_is_verified_and_goes_through_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, context = _certificate(tmp_path)
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if not head.startswith(b"CONNECT"):
            writer.write(WHOLE)
            await writer.drain()
            return
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        there, back = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_copy(reader, back), _copy(there, writer))

    async with (
        server(saying(WHOLE, WHOLE), context=context) as (port, _),
        server(proxy) as (between_chunks, _),
    ):
        url = f"https://127.0.0.1:{port}"
        async with wired() as upstream:
            with pytest.raises(ProviderUnavailable, match="could not be reached"):
                await get(upstream, url)  # nobody vouches for it
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with wired() as upstream:
            assert (await get(upstream, url))[1] == b"hello"
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", f"http://user:p%40ss@127.0.0.1:{between_chunks}")
        monkeypatch.setenv("no_proxy", "")
        async with wired() as upstream:
            assert (await get(upstream, url))[1] == b"hello"
            assert (await get(upstream, "http://provider.test"))[1] == b"hello"
    assert asked[0].startswith(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n" % port)
    assert asked[1].startswith(b"GET http://provider.test/x?y=1 HTTP/1.1\r\n")
    assert all(b"proxy-authorization: Basic dXNlcjpwQHNz\r\n" in head for head in asked)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    await _closed(writer)


def test_a_base_address_may_have_a_path_and_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    base = Base("https://gateway.test:8443/openai/v1/")
    assert (base.endpoint.host, base.endpoint.port, base.endpoint.secure) == ("gateway.test", 8443, True)
    assert (base.prefix, base.host) == ("/openai/v1", b"gateway.test:8443")
