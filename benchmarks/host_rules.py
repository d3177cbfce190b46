"""What host rules cost: an intercepted request beside a tunnelled one, a new connection, the plain egress, scrubbing."""

from __future__ import annotations

import asyncio
import random
import ssl
import statistics
import string
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import pytest
import uvloop
from _bench import Question, options, report
from tests.integration.secrets.interception import HOST, Ground, ground
from tests.support.egress import listening, relayed_to

from codewords_mcp.runtime.egress import Egress, EgressPolicy
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.runtime.secrets.scrub import Scrubber

_REQUEST = "GET /ok HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n\r\n"


class Connection:
    """One TLS connection through a proxy, kept alive."""

    def __init__(self, proxy: int, to: str, port: int, context: ssl.SSLContext, key: str) -> None:
        self._proxy, self._to, self._port, self._context = proxy, to, port, context
        self._request = _REQUEST.format(
            host=f"{HOST}:{port}" if to == HOST else f"{to}:{port}", key=key
        ).encode()

    async def open(self) -> None:
        """The tunnel and its handshake."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._proxy)
        target = f"{self._to}:{self._port}"
        writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await writer.start_tls(self._context, server_hostname=HOST)
        self._reader, self._writer = reader, writer

    async def ask(self) -> None:
        """One request and its whole answer."""
        self._writer.write(self._request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0] + b" ", head
        await self._reader.readexactly(2)

    def close(self) -> None:
        """Hang up."""
        self._writer.transport.abort()


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def _median(times: int, work: Callable[[], Awaitable[object]]) -> float:
    return statistics.median([await _timed(work) for _ in range(times)])


async def _plain_proxy(stage: Ground) -> tuple[Egress, int]:
    """The egress of a sandbox without secrets."""
    egress = Egress(
        EgressPolicy(allow_private=frozenset({f"127.0.0.1:{stage.host.port}"})), relayed_to("127.0.0.1", 9)
    )
    sockets = SandboxSockets(listening(), listening())
    assert sockets.connect is not None
    port = sockets.connect.getsockname()[1]
    await egress.attach("plain", sockets)
    return egress, port


async def _measure(runs: int, times: int) -> list[Question]:
    kept = Question("a kept-alive request, intercepted", "tunnelled untouched", "ms", None, adds_at_most=0.5)
    new = Question(
        "a new TLS connection and a request, intercepted", "tunnelled untouched", "ms", None, adds_at_most=3
    )
    tunnel = Question(
        "a kept-alive request tunnelled by an egress with secrets",
        "plain egress",
        "ms",
        None,
        adds_at_most=0.05,
    )
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        async with ground(Path(folder), patch, protocols=("http/1.1",)) as stage:
            anyone = ssl.create_default_context(cafile=str(Path(folder) / "test-authority.pem"))
            egress, plain_port = await _plain_proxy(stage)
            port = stage.host.port
            sides = {
                "intercepted": Connection(stage.proxy, HOST, port, stage.context, stage.placeholder),
                "tunnelled": Connection(stage.proxy, "127.0.0.1", port, anyone, "x"),
                "plain": Connection(plain_port, "127.0.0.1", port, anyone, "x"),
            }
            for side in sides.values():
                await side.open()
                await side.ask()

            def afresh(side: Connection) -> Callable[[], Awaitable[None]]:
                async def work() -> None:
                    side.close()
                    await side.open()
                    await side.ask()

                return work

            for _ in range(runs):
                kept.ours.append(await _median(times, sides["intercepted"].ask))
                kept.peer.append(await _median(times, sides["tunnelled"].ask))
                tunnel.peer.append(await _median(times, sides["plain"].ask))
                tunnel.ours.append(await _median(times, sides["tunnelled"].ask))
                new.ours.append(await _median(times // 5, afresh(sides["intercepted"])))
                new.peer.append(await _median(times // 5, afresh(sides["tunnelled"])))
            for side in sides.values():
                side.close()
            await egress.close()
    return [kept, new, tunnel]


def _scrubbing(runs: int) -> Question:
    asked = Question("scrubbing a log stream, 50 secrets", "1 secret", "MB/s", None, at_least=100)
    letters = string.ascii_letters + string.digits
    rng = random.Random(1)
    values = {f"SECRET_{n}": "".join(rng.choices(letters, k=40)) for n in range(50)}
    lines = (
        f"2026-11-25T18:00:00Z INFO request {n} done in {n % 97} ms path=/items/{n * 7}\n"
        for n in range(200_000)
    )
    data = "".join(lines).encode()
    chunks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
    many, one = Scrubber(values), Scrubber(dict(list(values.items())[:1]))
    for _ in range(runs):
        for scrubber, side in ((many, asked.ours), (one, asked.peer)):
            began = time.process_time()
            for chunk in chunks:
                scrubber.feed(chunk)
            side.append(len(data) / 1e6 / (time.process_time() - began))
    return asked


def main() -> int:
    """Run it."""
    chosen = options(__doc__ or "", runs=7, quick_runs=3)
    times = 100 if chosen.quick else 400
    questions = uvloop.run(_measure(chosen.runs, times))
    return report([*questions, _scrubbing(chosen.runs)], chosen)


if __name__ == "__main__":
    sys.exit(main())
