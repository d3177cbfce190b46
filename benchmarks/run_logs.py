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
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
