"""A client of few parts on raw sockets: it must not be what a benchmark measures."""

from __future__ import annotations

import asyncio
import os
import statistics
import time

import uvloop

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """What a process has used of the CPU until now."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_mb(pid: int) -> float:
    """Its resident memory."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def request(path: str, key: str, body: bytes, *more: str) -> bytes:
    """A whole request that keeps its connection; `more` are further headers."""
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    head += "".join(f"{header}\r\n" for header in more)
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class _Client(asyncio.Protocol):
    """Sends the request again and again until told to stop; notes when the first byte and the last one came."""

    def __init__(self, sent: bytes, stop: float, most: int) -> None:
        self._sent, self._stop, self._left = sent, stop, most
        self.first: list[float] = []
        self.whole: list[float] = []
        self.wrong = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._again()

    def _again(self) -> None:
        self._data = b""
        self._end = -1
        self._began = time.perf_counter()
        self._transport.write(self._sent)  # pyright: ignore[reportAttributeAccessIssue]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._data += data
        if self._end < 0:
            at = self._data.find(b"\r\n\r\n")
            if at < 0:
                return
            head = self._data[:at].lower()
            self.wrong += not head.startswith(b"http/1.1 200")
            self._chunked = b"transfer-encoding: chunked" in head
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self._body = at + 4
            self._end = self._body + int(length or 0)
            self._told = False
        if not self._told and len(self._data) > self._body:
            self._told = True
            self.first.append(now - self._began)
        if self._data.endswith(b"0\r\n\r\n") if self._chunked else len(self._data) >= self._end:
            self.whole.append(now - self._began)
            self._left -= 1
            if now > self._stop or not self._left:
                self._transport.close()
                if not self.done.done():
                    self.done.set_result(None)
            else:
                self._again()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server hung up"))


class Load:
    """The outcome of some seconds of load."""

    def __init__(self, clients: list[_Client], seconds: float) -> None:
        self.count = sum(len(client.whole) for client in clients)
        self.rate = self.count / seconds
        self.median_ms = statistics.median(t for client in clients for t in client.whole) * 1000
        self.first_ms = statistics.median(t for client in clients for t in client.first) * 1000
        assert not sum(client.wrong for client in clients), "the server refused calls"


def load(port: int, sent: bytes, *, connections: int, seconds: float, most: int = 1 << 60) -> Load:
    """Load a server with so many connections for so long, or until each has asked `most` times."""

    async def run() -> Load:
        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        clients: list[_Client] = []
        for _ in range(connections):
            _, client = await loop.create_connection(
                lambda: _Client(sent, began + seconds, most), "127.0.0.1", port
            )
            clients.append(client)
        await asyncio.gather(*(client.done for client in clients))
        return Load(clients, time.perf_counter() - began)

    return uvloop.run(run())
