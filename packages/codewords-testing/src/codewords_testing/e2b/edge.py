"""The edge: takes every connection to a sandbox, or to the API by its production name, and passes one request on.

`{port}-{id}.{domain}` names a sandbox's port; on an address, localhost or `sandbox.{domain}` the headers E2b-Sandbox-Id and
E2b-Sandbox-Port do. A CONNECT request is taken as a forward proxy's: what comes then is TLS, for whatever name.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from codewords_testing.e2b.cloud import Cloud
from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.faults import Dropped
from codewords_testing.e2b.state import ENVD_PORT, CloudSandbox

_MAX_HEAD: Final = 64 << 10
_CHUNK: Final = 64 << 10
# Seconds before each attempt to reach a port, as the real edge has them: about one in all.
_DIALS: Final = (0.0, 0.1, 0.2, 0.3, 0.4)
_NAMED: Final = re.compile(r"(\d+)-([a-z0-9]+)\..+")
_HEADER_HOSTS: Final = re.compile(r"localhost|[\d.]+|\[[0-9a-f:]+\]|sandbox\..+")
INNER: Final = "x-loopback-target"
"""Tells the application behind the edge what a request is for: `api`, or a sandbox's id. Never taken from outside."""
NOT_FOUND: Final = "The sandbox was not found"
NOT_OPEN: Final = "The sandbox is running but port is not open"


@dataclass(slots=True)
class Head:
    """A request's first line and headers."""

    line: str
    headers: list[tuple[str, str]]

    def get(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.line.split(" ")[1].partition("?")[0]

    @property
    def label(self) -> str:
        """Method and path, for faults."""
        return f"{self.line.split(' ')[0]} {self.path}"

    def closing(self, more: dict[str, str]) -> bytes:
        """For the other side, which is to close after this one request; an upgrade is left as it is."""
        upgrade = (self.get("connection") or "").lower() == "upgrade"
        if upgrade:
            # The header of an upgrade belongs to it, so it must arrive as it came.
            dropped = {INNER}
        else:
            dropped = {INNER, "connection", "keep-alive"}
        forwarded = [(key, value) for key, value in self.headers if key.lower() not in dropped]
        added = list(more.items()) + ([] if upgrade else [("connection", "close")])
        lines = [self.line, *(f"{key}: {value}" for key, value in forwarded + added)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse(raw: bytes) -> Head:
    """Raises ValueError."""
    lines = raw.decode("latin-1").split("\r\n")
    headers = [(key, value.strip()) for key, _, value in (line.partition(":") for line in lines[1:] if line)]
    if len(lines[0].split(" ")) != 3:
        raise ValueError(lines[0])
    return Head(lines[0], headers)


def target(head: Head, domain: str) -> tuple[str, int] | None:
    """Sandbox and port that a request is for; None: the API."""
    host = (head.get("host") or "").rsplit(":", 1)[0]
    sandbox_id, port = head.get("e2b-sandbox-id"), head.get("e2b-sandbox-port")
    # Headers count only at an address that names no sandbox by itself.
    if sandbox_id and port and _HEADER_HOSTS.fullmatch(host):
        return sandbox_id, int(port)
    named = _NAMED.fullmatch(host)
    if named and host != f"api.{domain}":
        return (named[2], int(named[1]))
    return None


class Edge:
    """Handles connections; `application` is the Unix socket of what answers for the API and for envd."""

    def __init__(self, cloud: Cloud, application: Path, tls: ssl.SSLContext) -> None:
        self._cloud = cloud
        self._application = application
        self._tls = tls
        self._tasks: set[asyncio.Task[Any]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """For `asyncio.start_server`."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a server's callback is one
        # asyncio holds no reference to the task, and `close` must end it.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A client that leaves or sends nonsense ends its own connection and nothing else.
        with contextlib.suppress(
            OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Dropped
        ):
            await self._serve(reader, writer)
        writer.close()

    async def close(self) -> None:
        """Hang up everywhere."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = parse(await reader.readuntil(b"\r\n\r\n"))
        if head.line.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await writer.drain()
            # From here on the client speaks TLS with the host that it asked for.
            await writer.start_tls(self._tls)
            head = parse(await reader.readuntil(b"\r\n\r\n"))

        route = target(head, self._cloud.options.domain)
        if route is None:
            await self._to_application(reader, writer, head, "api")
            return

        sandbox_id, port = route
        sandbox = self._cloud.sandboxes.get(sandbox_id)
        if sandbox is None or not self._cloud.wake(sandbox):
            await _respond(writer, 502, {"sandboxId": sandbox_id, "message": NOT_FOUND, "code": 502})
        elif port == ENVD_PORT:
            await self._to_application(reader, writer, head, sandbox_id)
        else:
            await self._to_port(reader, writer, head, sandbox, port)

    async def _to_application(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: Head, what: str
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._application))
        inner_writer.write(head.closing({INNER: what}))
        await _splice(reader, writer, inner_reader, inner_writer)

    async def _to_port(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head: Head,
        sandbox: CloudSandbox,
        port: int,
    ) -> None:
        kill = partial(self._cloud.kill_soon, sandbox.id)
        fault = await self._cloud.faults.apply(f"port:{port} {head.label}", kill)
        if fault is not None and fault.status:
            await _respond(writer, fault.status, fault.body, fault.headers)
            return

        presented = head.get("e2b-traffic-access-token")
        if sandbox.traffic_token and presented != sandbox.traffic_token:
            if presented is None:
                what = "is missing"
            else:
                what = "is invalid"

            message = f"Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' {what}"
            await _respond(writer, 403, {"sandboxId": sandbox.id, "code": 403, "message": message})
            return

        link = await _dial(sandbox, port)
        if link is None:
            await _respond(
                writer, 502, {"sandboxId": sandbox.id, "message": NOT_OPEN, "port": port, "code": 502}
            )
            return

        inner_reader, inner_writer = await asyncio.open_connection(sock=link)
        inner_writer.write(head.closing({}))
        # The request has been passed on, its answer has not.
        if fault is not None and fault.kill == "after":
            self._cloud.kill_soon(sandbox.id)
        await _splice(reader, writer, inner_reader, inner_writer)


async def _dial(sandbox: CloudSandbox, port: int) -> socket.socket | None:
    for pause in _DIALS:
        # A program that is starting may listen a moment later.
        await asyncio.sleep(pause)
        try:
            link = await sandbox.machine.dial(port)
        except MachineFailed:
            return None
        if link is not None:
            link.setblocking(False)
            return link
    return None


async def _respond(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    data = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Loopback", "content-type: application/json", f"content-length: {len(data)}"]
    lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
    writer.write(("\r\n".join(lines) + "\r\nconnection: close\r\n\r\n").encode() + data)
    await writer.drain()


async def _splice(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    inner_reader: asyncio.StreamReader,
    inner_writer: asyncio.StreamWriter,
) -> None:
    """Both ways until the inner side has ended: it closes when its answer is whole."""
    up = asyncio.ensure_future(_pour(reader, inner_writer))
    down = asyncio.ensure_future(_pour(inner_reader, writer))

    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        # The client may have sent all that it has: the answer still comes. One that is gone breaks the way down.
        if not down.done():
            await asyncio.wait({down})
    finally:
        for half in (up, down):
            half.cancel()
        inner_writer.close()
        await asyncio.wait({up, down})


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        # TLS cannot close one direction alone.
        if writer.can_write_eof():
            writer.write_eof()
