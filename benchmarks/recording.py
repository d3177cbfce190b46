"""What recording costs a run: ten requests over TLS on one connection, recorded, beside the same run tunnelled, and beside
one whose connection is intercepted and not recorded. All take turns on one runtime; the host is a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
import uvloop
from _bench import Question, options, report
from tests.integration.secrets.tls_host import Ca, trusted
from tests.support.runtime import deploy, fetch, make_home, open_runtime, workflow

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.egress.intercept.observation import Observation, PassingExchange

_ASKS = 10
_TUNNELLED = "not recorded, its connection tunnelled"
_INTERCEPTED = "its connection intercepted, not recorded"
_BODY = b'{"items": "' + b"a word and another " * 420 + b'"}'
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_BODY),
    _BODY,
)
_WORKFLOW = """
import httpx, ssl
@app.post("/")
def act(asked: dict):
    trusted = ssl.create_default_context()
    # The host's authority, where nobody else vouches for it.
    trusted.load_verify_locations(cadata=asked["authority"])
    with httpx.Client(verify=trusted) as client:
        return {"bytes": sum(len(client.get(asked["url"]).content) for _ in range(TIMES))}
""".replace("TIMES", str(_ASKS))


def _serve(certificate: str, key: str, ready: Connection) -> None:
    """The host: it answers each request with 8 KB."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, OSError):
                break
            writer.write(_REPLY)
        writer.close()

    async def run() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.set_alpn_protocols(["http/1.1"])
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


@contextmanager
def _host(ca: Ca) -> Generator[int]:
    """The host's port."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(*ca.issue(HOST_ALIAS), theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def _unrecorded() -> Generator[None]:
    """Connections are intercepted, and what passes is told to nobody."""
    with pytest.MonkeyPatch.context() as patch:

        def begin(_: Observation, method: str, *__: object, **___: object) -> PassingExchange:
            return PassingExchange(method, None)

        patch.setattr(Observation, "begin", begin)
        yield


@contextmanager
def _as_it_is() -> Generator[None]:
    yield


class Side:
    """One of the compared ways to run the workflow."""

    def __init__(
        self,
        runtime: Runtime,
        service: str,
        asked: dict[str, str],
        within: Callable[[], AbstractContextManager[None]] = _as_it_is,
    ) -> None:
        self._runtime = runtime
        self._service = service
        self._asked = asked
        self._within = within

    async def measure(self, times: int) -> tuple[float, float]:
        """Medians of (ms by the clock, ms of this process's processor time) of a run."""
        clock: list[float] = []
        processor: list[float] = []
        with self._within():
            for _ in range(times):
                began, used = time.perf_counter(), time.process_time()
                status, body, _ = await fetch(self._runtime, self._service, self._asked)
                clock.append((time.perf_counter() - began) * 1000)
                assert status == 200, body
                # What follows a run, its record and its sandbox's end, is part of its cost.
                await asyncio.sleep(0.02)
                processor.append((time.process_time() - used) * 1000)
        return statistics.median(clock), statistics.median(processor)


@asynccontextmanager
async def _sides(folder: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[dict[str, Side]]:
    ca = Ca(folder)
    with _host(ca) as port, trusted(ca, patch):
        home = make_home(folder / "home")
        async with open_runtime(
            home, egress_allow_private=[f"{HOST_ALIAS}:{port}"], log_level="ERROR"
        ) as runtime:
            asked = {
                "url": f"https://{HOST_ALIAS}:{port}/items",
                "authority": ca.file.read_text(encoding="ascii"),
            }
            recorded = await deploy(runtime, _workflow("all"))
            tunnelled = await deploy(runtime, _workflow("off"))
            yield {
                "recorded": Side(runtime, recorded, asked),
                _TUNNELLED: Side(runtime, tunnelled, asked),
                _INTERCEPTED: Side(runtime, recorded, asked, _unrecorded),
            }


def _workflow(record: str) -> str:
    code = workflow(_WORKFLOW, title=f"Asks, {record}")
    more = f'# [tool.codewords]\n# hosts = ["{HOST_ALIAS}"]\n# record = "{record}"\n'
    return code.replace("# ///\nfrom fastapi", f"{more}# ///\nfrom fastapi", 1)


async def _measure(runs: int, times: int) -> list[Question]:
    clocks = {
        peer: Question(f"a run with {_ASKS} requests kept alive, recorded", peer, "ms", 1.05)
        for peer in (_TUNNELLED, _INTERCEPTED)
    }
    processors = {
        peer: Question("the runtime's processor time for it", peer, "ms", None, adds_at_most=2)
        for peer in (_TUNNELLED, _INTERCEPTED)
    }
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        async with _sides(Path(folder), patch) as sides:
            # The first turn warms up.
            for turn in range(runs + 1):
                # Each begins as often as the others: what a run leaves to do is paid by the next.
                names = [*sides][turn % 3 :] + [*sides][: turn % 3]
                found = {name: await sides[name].measure(times) for name in names}
                if turn:
                    for peer in clocks:
                        for number, questions in enumerate((clocks, processors)):
                            questions[peer].ours.append(found["recorded"][number])
                            questions[peer].peer.append(found[peer][number])
    return [*clocks.values(), *processors.values()]


def main() -> int:
    """Run it."""
    chosen = options(__doc__ or "", runs=15, quick_runs=5)
    times = 5 if chosen.quick else 10
    return report(uvloop.run(_measure(chosen.runs, times)), chosen)


if __name__ == "__main__":
    sys.exit(main())
