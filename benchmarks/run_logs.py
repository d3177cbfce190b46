"""How many log lines a second are stored from fifty runs at once, and how long after it was printed is a line seen by
followers on another replica?

- stored: raw output, as pipes give it, of fifty runs into the journal until its last line is committed, on SQLite and on
  PostgreSQL; the peer appends the same lines as JSON to one file.
- printed: fifty sandboxes print as fast as they can through `serve`, until the last line can be read; the peer is fifty
  such programs without a sandbox, whose pipes one Python process reads and appends to a file.
- tails: fifty runs print twice a second on one replica, and a thousand clients follow them on another; the peer is the
  same with the clients on the replica that runs them.

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
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import uvloop
from _bench import Options, Question, clean_environment, options, report
from _door import PROJECT, served
from _sandboxes import quiet

from codewords_mcp.runtime.runs.journal import Journal
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

sys.path[:0] = [str(PROJECT)]
from tests.postgres import serving_postgres  # noqa: E402
from tests.serving import ServedRuntime  # noqa: E402
from tests.workshop import workflow  # noqa: E402

RUNS = 50
LINE = "2026-11-25 18:00:00 [info     ] order 4711 was looked at and found right  customer=ada amount=12.50 n=%06d"
AT_ONCE = 100
"""Lines of one run that come with one look at its pipe."""
FLOOD = workflow(
    f"""
import asyncio, sys, time
@app.post("/")
async def flood(request: Request):
    count = (await request.json())["lines"]
    for n in range(count):
        sys.stdout.write({LINE!r} % n + "\\n")
    sys.stdout.flush()
    return {{"lines": count}}
@app.post("/tick")
async def tick(request: Request):
    for n in range((await request.json())["lines"]):
        print(f"tick {{time.time():.6f}}", flush=True)
        await asyncio.sleep(0.5)
    return {{}}
""",
    title="Flood",
)
TAILS = 1000
PEER_PIPES = "as many programs without a sandbox, whose pipes one process reads and appends to a file as JSON"
PEER_FILE = "the same lines as JSON appended to one file by one process"


def lines_of(turn: int) -> bytes:
    return "".join(LINE % n + "\n" for n in range(turn * AT_ONCE, (turn + 1) * AT_ONCE)).encode()


async def into_journal(database: Database, turns: int) -> float:
    """Lines a second of fifty runs, until all are committed."""
    journal = Journal(database, 1 << 30)
    ids = [f"{now()}-{n}" for n in range(RUNS)]
    row = {"owner": "bench", "status": "running", "created_at": now(), "service_id": "bench"}
    await database.write(lambda c: [rows.add(c, row | {"id": one}) for one in ids])
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
    turns = 20 if chosen.quick else 100
    for number in range(3 if chosen.quick else 6):
        pair = uvloop.run(into_journal(database, turns)), into_file(folder, turns)
        if number:
            question.ours.append(pair[0])
            question.peer.append(pair[1])
    return question


def printed(chosen: Options, folder: Path) -> Question:
    """End to end: until the last line of each run can be read."""
    each = 2_000 if chosen.quick else 10_000
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


async def call(runtime: ServedRuntime, method: str, path: str, body: object = None) -> dict:
    """One request on a connection of its own; the JSON of its answer."""
    reader, writer = await asyncio.open_connection(*address(runtime))
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {runtime.key}\r\nconnection: close\r\n"
    head = head.replace("host: x", f"host: {address(runtime)[0]}")
    writer.write(
        f"{head}content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode() + data
    )
    answer = await reader.read()
    writer.close()
    assert b" 200 " in answer[:20], answer[:500]
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def follow(runtime: ServedRuntime, run_id: str) -> AsyncIterator[bytes]:
    """The lines of a log as they come, until it ends."""
    reader, writer = await asyncio.open_connection(*address(runtime))
    head = f"GET /logs/{run_id} HTTP/1.1\r\nhost: {address(runtime)[0]}\r\nauthorization: {runtime.key}\r\n"
    writer.write(f"{head}connection: close\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    async for line in reader:
        if line.startswith(b"{"):
            yield line
    writer.close()


def address(runtime: ServedRuntime) -> tuple[str, int]:
    parts = urllib.parse.urlsplit(runtime.url)
    return parts.hostname or "", parts.port or 80


async def tail_delays(runs: ServedRuntime, asked: ServedRuntime, service: str, ticks: int) -> list[float]:
    """Milliseconds from each line that is printed to each follower that has it."""
    ids = [
        (await call(runs, "POST", f"/run_async/{service}/tick", {"lines": ticks}))["request_id"]
        for _ in range(RUNS)
    ]
    delays: list[float] = []

    async def one(run_id: str) -> None:
        since = time.time() + 1  # connecting is not what is measured
        async for line in follow(asked, run_id):
            at = time.time()
            word, _, printed_at = json.loads(line)["message"].partition(" ")
            if word == "tick" and float(printed_at) > since:
                delays.append((at - float(printed_at)) * 1000)

    await asyncio.gather(*(one(run_id) for run_id in ids for _ in range(TAILS // RUNS)))
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
                delays = sorted(uvloop.run(tail_delays(one, asked, service, 12 if chosen.quick else 20)))
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
