"""How many log lines a second are stored from fifty runs at once, and how long after it was printed is a line seen by
followers on another replica?

- stored: raw output, as pipes give it, of fifty runs into the journal until its last line is committed, on SQLite and on
  PostgreSQL; the peer appends the same lines as JSON to one file.
- printed: fifty sandboxes print as fast as they can through `serve`, until the last line can be read; the peer is fifty
  such programs without a sandbox, whose pipes one Python process reads and appends to a file.
- tails: a thousand clients follow fifty runs on another replica than the one where they begin then, and print twice a
  second; the peer is the same with the clients on the replica that runs them.

    python benchmarks/run_logs.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import uvloop
from _bench import Options, Question, clean_environment, options, report
from _door import served
from _sandboxes import quiet
from tests.support.postgres import serving_postgres
from tests.support.runtime import workflow
from tests.support.served_runtime import ServedRuntime

from codewords_mcp.runtime.model.events import EventBus
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

RUNS = 50
LINE = "2026-11-25 18:00:00 [info     ] order 4711 was looked at and found right  customer=ada amount=12.50 n=%06d"
AT_ONCE = 100
"""Lines of one run that come with one look at its pipe."""
FLOOD = workflow(
    f"""
import asyncio, random, sys, time
@app.post("/")
async def flood(request: Request):
    count = (await request.json())["lines"]
    for n in range(count):
        sys.stdout.write({LINE!r} % n + "\\n")
    sys.stdout.flush()
    return {{"lines": count}}
@app.post("/tick")
async def tick(request: Request):
    await asyncio.sleep(random.random() / 2)  # the runs do not print all at the same time
    for n in range((await request.json())["lines"]):
        print(f"tick {{n}} {{time.time():.6f}}", flush=True)
        await asyncio.sleep(0.5)
    return {{}}
""",
    title="Flood",
)
TAILS = 1000
STARTING = 4
"""Lines that a run prints while others still begin; what they take is not asked."""
PEER_PIPES = "as many programs without a sandbox, whose pipes one process reads and appends to a file as JSON"
PEER_FILE = "the same lines as JSON appended to one file by one process"


def lines_of(turn: int) -> bytes:
    return "".join(LINE % n + "\n" for n in range(turn * AT_ONCE, (turn + 1) * AT_ONCE)).encode()


async def into_journal(database: Database, turns: int) -> float:
    """Lines a second of fifty runs, until all are committed."""
    journal = Journal(database, 1 << 30, EventBus())
    ids = [f"{now()}-{n}" for n in range(RUNS)]
    begun: list[RunColumns] = [
        {"id": one, "owner": "bench", "status": "running", "created_at": now(), "service_id": "bench"}
        for one in ids
    ]
    await database.write(lambda c: [rows.add(c, row) for row in begun])
    logs = [journal.open(one) for one in ids]
    began = time.perf_counter()
    for turn in range(turns):
        output = lines_of(turn)
        for log in logs:
            log.write("stdout", output)
        await asyncio.sleep(0)
    for log in logs:
        journal.close(log)
    await database.drained()
    return RUNS * turns * AT_ONCE / (time.perf_counter() - began)


def into_file(folder: Path, turns: int) -> float:
    """The same, by the simplest program."""
    began = time.perf_counter()
    with (folder / "peer.jsonl").open("a", encoding="utf-8") as file:
        for turn in range(turns):
            output = lines_of(turn)
            for run in range(RUNS):
                text = output.decode()
                for line in text.split("\n")[:-1]:
                    file.write(json.dumps([run, time.time(), "stdout", line]) + "\n")
                file.flush()
    return RUNS * turns * AT_ONCE / (time.perf_counter() - began)


def stored(name: str, database: Database, folder: Path, chosen: Options) -> Question:
    question = Question(
        f"log lines a second stored from {RUNS} runs, {name}", PEER_FILE, "/s", None, at_least=100_000
    )
    turns = 20 if chosen.quick else 40
    for number in range(4 if chosen.quick else 8):
        pair = uvloop.run(into_journal(database, turns)), into_file(folder, turns)
        if number:
            question.ours.append(pair[0])
            question.peer.append(pair[1])
    return question


def printed(chosen: Options, folder: Path) -> Question:
    """End to end: until the last line of each run can be read."""
    each = 1_000 if chosen.quick else 4_000
    question = Question(
        f"log lines a second printed by {RUNS} sandboxes at once, SQLite", PEER_PIPES, "/s", None
    )
    script = folder / "flood.py"
    script.write_text(
        f"import sys\nfor n in range({each}):\n    sys.stdout.write({LINE!r} % n + '\\n')\n", "utf-8"
    )
    with served(folder / "printed") as runtime:
        service = runtime.deploy(FLOOD, "flood")
        for number in range(2 if chosen.quick else 4):
            pair = uvloop.run(through_serve(runtime, service, each)), asyncio.run(through_pipes(folder, each))
            if number:
                question.ours.append(pair[0])
                question.peer.append(pair[1])
    return question


async def through_serve(runtime: ServedRuntime, service: str, each: int) -> float:
    began = time.perf_counter()

    async def one() -> None:
        run_id = (await call(runtime, "POST", f"/run_async/{service}/", {"lines": each}))["request_id"]
        await call(runtime, "GET", f"/result/{run_id}?timeout=120")
        count = 0
        async for line in follow(runtime, run_id):
            count += b'"order' in line or b" order " in line
        assert count == each, count

    await asyncio.gather(*(one() for _ in range(RUNS)))
    return RUNS * each / (time.perf_counter() - began)


async def through_pipes(folder: Path, each: int) -> float:
    began = time.perf_counter()
    with (folder / "pipes.jsonl").open("w", encoding="utf-8") as file:

        async def one(number: int) -> None:
            program = await asyncio.create_subprocess_exec(
                sys.executable, folder / "flood.py", stdout=asyncio.subprocess.PIPE, env=clean_environment()
            )
            assert program.stdout is not None
            async for line in program.stdout:
                file.write(json.dumps([number, time.time(), "stdout", line.decode()]) + "\n")
            await program.wait()

        await asyncio.gather(*(one(number) for number in range(RUNS)))
    return RUNS * each / (time.perf_counter() - began)


async def call(runtime: ServedRuntime, method: str, path: str, body: object = None, **headers: str) -> dict:
    """One request on a connection of its own; the JSON of its answer."""
    data = b"" if body is None else json.dumps(body).encode()
    headers |= {"content-type": "application/json", "content-length": str(len(data))}
    reader, writer = await ask(runtime, method, path, data, headers)
    answer = await reader.read()
    writer.close()
    assert b" 200 " in answer[:20], answer[:500]
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def ask(
    runtime: ServedRuntime, method: str, path: str, data: bytes, headers: dict[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urllib.parse.urlsplit(runtime.url)
    host, port = parts.hostname or "", parts.port or 80
    reader, writer = await asyncio.open_connection(host, port)
    headers |= {"host": host, "authorization": runtime.key, "connection": "close"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
    return reader, writer


async def follow(
    runtime: ServedRuntime, run_id: str, connected: Callable[[], object] = lambda: None
) -> AsyncIterator[bytes]:
    """The lines of a log as they come, until it ends."""
    reader, writer = await ask(runtime, "GET", f"/logs/{run_id}", b"", {})
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head[:20], head
    connected()
    async for line in reader:
        if line.startswith(b"{"):
            yield line
    writer.close()


async def tail_delays(runs: ServedRuntime, asked: ServedRuntime, service: str, ticks: int) -> list[float]:
    """Milliseconds from each line that is printed to each follower that has it."""
    husks = [(await call(runs, "POST", "/provision-request"))["request_id"] for _ in range(RUNS)]
    delays: list[float] = []
    all_connected, connected = asyncio.Event(), 0

    def one_more() -> None:
        nonlocal connected
        connected += 1
        if connected == TAILS:
            all_connected.set()

    async def tail(run_id: str) -> None:
        async for line in follow(asked, run_id, one_more):
            at = time.time()
            match json.loads(line)["message"].split(" "):
                case ["tick", number, printed_at] if int(number) >= STARTING:
                    delays.append((at - float(printed_at)) * 1000)

    async def run(run_id: str) -> None:
        asks = {"x-provisioned-request-id": run_id}
        await call(runs, "POST", f"/run_async/{service}/tick", {"lines": STARTING + ticks}, **asks)

    tailing = asyncio.gather(*(tail(run_id) for run_id in husks for _ in range(TAILS // RUNS)))
    await asyncio.wait({asyncio.ensure_future(all_connected.wait()), tailing}, return_when="FIRST_COMPLETED")
    await asyncio.gather(*(run(run_id) for run_id in husks))
    await tailing
    for run_id in husks:
        record = await call(runs, "GET", f"/result/{run_id}?timeout=10")
        assert record["status"] == "succeeded", record
    assert len(delays) == ticks * TAILS, f"{len(delays)} of {ticks * TAILS} lines reached who follows them"
    return delays


def tails(url: str, folder: Path, chosen: Options) -> list[Question]:
    """p50 and p95 of the delay, on another replica and on the same."""
    same = "the same, followed on the replica that runs them"
    middle = Question(
        f"delay of a log line, {TAILS:,} tails on another replica, p50", same, "ms", None, at_most=50
    )
    late = Question(
        f"delay of a log line, {TAILS:,} tails on another replica, p95", same, "ms", None, at_most=100
    )
    shared = {"CODEWORDS_DATABASE_URL": url, "CODEWORDS_API_KEY": "cwk-of-this-benchmark-0123456789",
              "CODEWORDS_MASTER_KEY": "a1" * 32}  # fmt: skip
    with served(folder / "one", **shared) as one, served(folder / "other", **shared) as other:
        service = one.deploy(FLOOD, "flood")
        for _ in range(1 if chosen.quick else 3):
            for sides, asked in (("ours", other), ("peer", one)):
                delays = sorted(uvloop.run(tail_delays(one, asked, service, 6 if chosen.quick else 14)))
                getattr(middle, sides).append(statistics.median(delays))
                getattr(late, sides).append(delays[int(len(delays) * 0.95)])
    return [middle, late]


def main() -> int:
    """Measure and report."""
    quiet()
    sys.setswitchinterval(0.0005)  # as `serve` does
    chosen = options((__doc__ or "").splitlines()[0], runs=0, quick_runs=0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        postgres = stack.enter_context(serving_postgres())
        questions = []
        for name, url in (("SQLite", None), ("PostgreSQL", postgres.url())):
            database = Database.open(folder, url)
            questions.append(stored(name, database, folder, chosen))
            database.close()
        questions.append(printed(chosen, folder))
        questions += tails(postgres.url(), folder, chosen)
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
