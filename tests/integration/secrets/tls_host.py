"""A host on loopback that speaks TLS under a real one's name, over HTTP/1.1, HTTP/2 and websockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType]
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from codewords_mcp.runtime.egress.intercept.trust import forget_hosts


class Ca:
    """An authority of the test's own."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        own = self._draft(self._name, self._key.public_key()).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = own.sign(self._key, hashes.SHA256())
        self.file = folder / "test-authority.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self._folder = folder

    def _draft(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=public,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=1),
            not_valid_after=now + timedelta(days=2),
        )

    def issue(self, host: str) -> tuple[str, str]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        issued = self._draft(x509.Name([]), key.public_key()).add_extension(names, critical=True)
        certificate, secret = self._folder / f"{host}.pem", self._folder / f"{host}.key"
        certificate.write_bytes(
            issued.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        pem = serialization.PrivateFormat.PKCS8
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption()))
        return str(certificate), str(secret)


@dataclass
class StandIn:
    """The host, and what it was asked."""

    port: int
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


async def _asked(request: Request, host: StandIn) -> dict[str, Any]:
    body = await request.body()
    asked = {
        "method": request.method,
        "path": request.url.path,
        "query": request.url.query,
        "version": request.scope["http_version"],
        "headers": dict(request.headers),
        "size": len(body),
        "body": body[:1000].decode("latin-1"),
    }
    host.asked.append(asked)
    return asked


def _routes(host: StandIn) -> list[Any]:
    async def echo(request: Request) -> Response:
        asked = await _asked(request, host)
        data = json.dumps(asked).encode()
        coding = request.query_params.get("coding", "")
        if coding == "gzip":
            data = gzip.compress(data)
        elif coding == "deflate":
            data = zlib.compress(data)
        headers = {"content-encoding": coding} if coding else {}
        echoed = asked["headers"].get("authorization", "")
        return Response(data, media_type="application/json", headers=headers | {"x-echo": echoed})

    async def stream(request: Request) -> Response:
        asked = await _asked(request, host)
        value = asked["headers"].get("authorization", "none")

        async def events() -> AsyncGenerator[bytes]:
            for letter in f"data: {value}\n\n":
                yield letter.encode()
            yield b"data: end\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def big(request: Request) -> Response:
        await _asked(request, host)

        async def pieces() -> AsyncGenerator[bytes]:
            for _ in range(64):
                yield b"x" * (1 << 17)

        return StreamingResponse(pieces())

    async def away(request: Request) -> Response:
        await _asked(request, host)
        return RedirectResponse(request.query_params["to"])

    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        host.asked.append({"query": websocket.url.query, "headers": dict(websocket.headers)})
        await websocket.send_text(websocket.headers.get("authorization", "none"))
        while (message := await websocket.receive())["type"] == "websocket.receive":
            if message.get("bytes") is not None:
                host.asked.append({"bytes": message["bytes"].decode("latin-1")})
                await websocket.send_bytes(message["bytes"])
            else:
                host.asked.append({"text": message["text"]})
                await websocket.send_text(f"heard {message['text']}")

    async def plain(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def cut(request: Request) -> Response:
        await _asked(request, host)

        async def pieces() -> AsyncGenerator[bytes]:
            yield b"half"
            raise ConnectionResetError

        return StreamingResponse(pieces())

    return [
        Route("/stream", stream, methods=["GET", "POST"]),
        Route("/big", big),
        Route("/away", away),
        Route("/ok", plain),
        Route("/cut", cut),
        WebSocketRoute("/talk", talk),
        Route("/{rest:path}", echo, methods=["GET", "POST", "PUT", "HEAD", "DELETE"]),
    ]


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_host(
    ca: Ca, name: str, speak: Raw, *, clients: Ca | None = None, newest: ssl.TLSVersion | None = None
) -> AsyncGenerator[StandIn]:
    """The host `name` on a port of loopback, which says inside TLS what `speak` writes.

    `clients`: it takes only those with a certificate of this authority; `newest`: the version of TLS.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*ca.issue(name))
    if newest is not None:
        context.maximum_version = newest
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.file)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await speak(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield StandIn(server.sockets[0].getsockname()[1])


@asynccontextmanager
async def standing_in(
    ca: Ca, name: str, *, protocols: tuple[str, ...] = ("h2", "http/1.1")
) -> AsyncGenerator[StandIn]:
    """The host `name` on a port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    host = StandIn(port)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = ca.issue(name)
    config.alpn_protocols = list(protocols)
    config.loglevel = "CRITICAL"
    config.h11_max_incomplete_size = 1 << 20
    config.websocket_max_message_size = 16 << 20
    config.keep_alive_max_requests = 100_000  # benchmarks ask often on one connection
    over = asyncio.Event()
    serving = asyncio.create_task(serve(Starlette(routes=_routes(host)), config, shutdown_trigger=over.wait))  # type: ignore[arg-type]
    try:
        await _until_it_listens(port, serving)
        yield host
    finally:
        over.set()
        await serving


async def _until_it_listens(port: int, serving: asyncio.Task[None]) -> None:
    while not serving.done():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return
    await serving


@contextmanager
def trusted(ca: Ca, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """The runtime of this process trusts the authority, as by the operator's SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.file))
    forget_hosts()
    yield
    forget_hosts()


def names_on_loopback(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """These names are this machine, for this process."""
    ask = socket.getaddrinfo

    def answer(host: Any, *args: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        return ask("127.0.0.1" if text in names else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


def client_context(authority: str) -> ssl.SSLContext:
    """A client that trusts one authority only."""
    return ssl.create_default_context(cadata=authority)
