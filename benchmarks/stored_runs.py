"""Do a million stored runs and a thousand deployments slow anything down?

Each number of a store with that history beside the same of an empty one, both measured in turns in one run, on SQLite and on
PostgreSQL: a warm run waited for and in the background, background runs a second, lists, log lines a second.

    python benchmarks/stored_runs.py [--quick] [--json]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import uvloop
from _bench import Options, Question, interleave, options, report
from _door import WARM
from _sandboxes import CODE, quiet
from _stored import fill
from background_runs import Asker
from run_logs import into_journal
from tests.support.postgres import serving_postgres
from tests.support.runtime import make_home
from tests.support.served_runtime import ServedRuntime, start_runtime

from codewords_mcp.runtime.store.database import Database

PEER = "an empty store"
SLOWER = 1.2
CLIENTS = 8
LISTS = ("/runs?limit=20", "/runs?status=running", "/runs?service_id={service}", "/workflows?limit=3")
"""Both stores have as much as these give."""


def listed(runtime: ServedRuntime, service: str) -> float:
    """Milliseconds of some lists, and of the page that follows the first."""
    began = time.perf_counter()
    first, *_ = [runtime.call("GET", path.format(service=service)) for path in LISTS]
    if first["next_cursor"]:
        runtime.call("GET", f"/runs?limit=20&cursor={first['next_cursor']}")
    return (time.perf_counter() - began) * 1000


def rate(runtime: ServedRuntime, service: str, each: int) -> Callable[[], float]:
    """Background runs a second of several clients, a sandbox each."""

    def measure() -> float:
        askers = [
            Asker(runtime, service) for _ in range(CLIENTS)
        ]  # an idle connection would be closed meanwhile
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda asker: [asker.background() for _ in range(each)], askers))
        return CLIENTS * each / (time.perf_counter() - began)

    return measure


def compare(
    name: str, full: ServedRuntime, empty: ServedRuntime, stores: tuple[Database, Database], chosen: Options
) -> list[Question]:
    services = [one.deploy(WARM, "warm") for one in (full, empty)]
    warm = [Asker(one, service) for one, service in zip((full, empty), services, strict=True)]
    cold = [rate(one, one.deploy(CODE, "greeting"), 5 if chosen.quick else 40) for one in (full, empty)]
    for one in (full, empty):  # the empty store has one page of runs, and one more
        while len(one.call("GET", "/runs?limit=100")["items"]) < 30:
            (warm[0] if one is full else warm[1]).background()
    turns = 10 if chosen.quick else 40
    asked: list[tuple[str, str, Callable[[], float], Callable[[], float], int]] = [
        ("warm run, waited for", "ms", warm[0].waited_for, warm[1].waited_for, chosen.runs),
        ("warm background run", "ms", warm[0].background, warm[1].background, chosen.runs),
        ("lists", "ms", lambda: listed(full, services[0]), lambda: listed(empty, services[1]), chosen.runs // 2),
        ("background runs a second", "/s", cold[0], cold[1], 3),
        ("log lines a second", "/s", lambda: uvloop.run(into_journal(stores[0], turns)),
         lambda: uvloop.run(into_journal(stores[1], turns)), 3),
    ]  # fmt: skip
    questions: list[Question] = []
    for what, unit, ours, peer, runs in asked:
        more = unit == "/s"
        question = Question(
            f"{what}, {name}", PEER, unit, 1 / SLOWER if more else SLOWER, more_is_better=more
        )
        interleave(question, ours, peer, runs)
        questions.append(question)
    return questions


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=100, quick_runs=20)
    stored = 100_000 if chosen.quick else 1_000_000
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as temporary, serving_postgres() as postgres:
        for name in ("SQLite", "PostgreSQL"):
            with ExitStack() as stack:
                folder = Path(temporary) / name
                urls = [postgres.url(), postgres.url()] if name == "PostgreSQL" else [None, None]
                runtimes: list[ServedRuntime] = []
                stores: list[Database] = []
                for size, url in zip((stored, 0), urls, strict=True):
                    home = make_home(folder / str(size) / "home")
                    database = Database.open(home, url)
                    fill(database, stored=size, deployments=1000 if size else 1, times=0)
                    stores.append(database)
                    stack.callback(database.close)
                    more = {"CODEWORDS_DATABASE_URL": url} if url else {}
                    runtimes.append(
                        stack.enter_context(
                            start_runtime(home, python=sys.executable, CODEWORDS_LOG_LEVEL="ERROR", **more)
                        )
                    )
                full, empty = runtimes
                questions += compare(
                    f"{stored:,} runs stored, {name}", full, empty, (stores[0], stores[1]), chosen
                )
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
