"""What does a run cost beside its app called directly, over HTTP: in a fresh sandbox, in a ready one, in a shared one?

Ours is `POST /run/{id}/` of the greeting workflow on a warm runtime: key, record, sandbox, log, record. The peer is the same
app on a loopback port, started once and asked directly. Both keep their connections alive and take turns.

- fresh: no sandbox is kept ready, each run is forked and destroyed, one after the other.
- ready: at 20 runs a second a one-shot sandbox waits for each; p50 and p99.
- the hop: nothing but passing requests into a warm sandbox, without key, record and log; one connection, and requests per
  second on 32.
- instance: the workflow asks for a warm program, and each request is a run with its record and log; the same two.

    python benchmarks/http_door.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from _bench import Options, Question, options, report
from _door import CODE, DIRECT_NAME, WARM, Client, direct, hopping, served

RATE = 20
CONNECTIONS = 32


async def in_turns(question: Question, ours: Client, peer: Client, runs: int) -> None:
    """The first pair warms up and is dropped."""
    async with ours, peer:
        for number in range(runs + 1):
            pair = await ours.ask(), await peer.ask()
            if number:
                question.ours.append(pair[0])
                question.peer.append(pair[1])


async def paced(client: Client, seconds: float) -> list[float]:
    """`RATE` requests a second, each on time whether or not the last one was slow."""
    async with client:
        loop, taken = asyncio.get_running_loop(), list[float]()
        began = loop.time()
        for number in range(int(seconds * RATE)):
            await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
            taken.append(await client.ask())
        return taken


async def throughput(clients: list[Client], seconds: float) -> float:
    """Requests per second of all connections together."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client) for client in clients]
        end = time.perf_counter() + seconds

        async def ask_on(client: Client) -> int:
            count = 0
            while time.perf_counter() < end:
                await client.ask()
                count += 1
            return count

        began = time.perf_counter()
        counts = await asyncio.gather(*(ask_on(client) for client in opened))
        return sum(counts) / (time.perf_counter() - began)


def fresh(chosen: Options, folder: Path) -> Question:
    """A sandbox made for each run, when it comes."""
    question = Question("a run in a fresh sandbox", DIRECT_NAME, "ms", None)
    with served(folder, CODEWORDS_READY_SANDBOXES="false") as runtime:
        service = runtime.deploy(CODE, "greeting")
        with direct(runtime.home, 18_437) as port:
            peer = Client("127.0.0.1", port, "/")
            uvloop.run(in_turns(question, Client.of(runtime, service), peer, chosen.runs))
    return question


def ready(chosen: Options, folder: Path) -> list[Question]:
    """One-shot sandboxes that wait."""
    half = Question(f"a ready sandbox at {RATE} runs/s, p50", DIRECT_NAME, "ms", None, at_most=2.0)
    most = Question(f"a ready sandbox at {RATE} runs/s, p99", DIRECT_NAME, "ms", None, at_most=6.0)
    seconds = 5 if chosen.quick else 15
    with served(folder) as runtime:
        service = runtime.deploy(CODE, "greeting")
        with direct(runtime.home, 18_438) as port:
            uvloop.run(paced(Client.of(runtime, service), 4))  # becomes hot
            for _ in range(3):
                ours = uvloop.run(paced(Client.of(runtime, service), seconds))
                peer = uvloop.run(paced(Client("127.0.0.1", port, "/"), seconds / 3))
                for question, share in ((half, 0.5), (most, 0.99)):
                    question.ours.append(percentile(ours, share))
                    question.peer.append(percentile(peer, share))
    return [half, most]


def warm(chosen: Options, folder: Path) -> list[Question]:
    """A warm program that many requests share: by the hop alone, and as runs."""
    hop = Question("the hop alone, one connection", DIRECT_NAME, "ms", None, adds_at_most=0.3)
    hops = Question(
        f"the hop alone, {CONNECTIONS} connections", DIRECT_NAME, "req/s", 0.85, more_is_better=True
    )
    run = Question("runs in instance mode, one connection", DIRECT_NAME, "ms", None)
    runs = Question(f"runs in instance mode, {CONNECTIONS} connections", DIRECT_NAME, "req/s", None)
    with served(folder) as runtime:
        service = runtime.deploy(WARM, "warm")
        with direct(runtime.home, 18_439) as port, hopping(18_440) as hop_port:
            peers = [Client("127.0.0.1", port, "/") for _ in range(CONNECTIONS)]
            ours = [Client("127.0.0.1", hop_port, "/") for _ in range(CONNECTIONS)]
            doors = [Client.of(runtime, service) for _ in range(CONNECTIONS)]
            uvloop.run(in_turns(hop, ours[0], peers[0], chosen.runs * 10))
            uvloop.run(in_turns(run, doors[0], peers[0], chosen.runs * 10))
            for _ in range(3 if chosen.quick else 7):
                hops.ours.append(uvloop.run(throughput(ours, 1.5)))
                runs.ours.append(uvloop.run(throughput(doors, 1.5)))
                hops.peer.append(uvloop.run(throughput(peers, 1.5)))
            runs.peer = hops.peer
    return [hop, hops, run, runs]


def percentile(values: list[float], share: float) -> float:
    """Of sorted values, the one at this share."""
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def main() -> int:
    """Measure and report."""
    chosen = options(__doc__.splitlines()[0], runs=40, quick_runs=10)
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as folder:
        questions.append(fresh(chosen, Path(folder) / "fresh"))
        questions += ready(chosen, Path(folder) / "ready")
        questions += warm(chosen, Path(folder) / "warm")
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
