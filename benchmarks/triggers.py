"""The cost of 10,000 triggers, and 1,000 items of a source at once in a storm of `kill -9`.

Idle: a runtime that serves a home with 10,000 triggers of feeds, each looked at in its usual pause (half an hour: five or
six looks a second at a site on loopback whose feeds don't change), is compared with one that serves an empty home and
one with no look due. The three run side by side, so that they have the same machine. Storm: a feed shows 1,000 new items
at once; the runtime is killed after a random time, started again, and so on; whenever all items have started their runs,
the feed shows 1,000 others. In the end each item has one run, or the benchmark fails. There is no peer.

    python benchmarks/triggers.py [--quick] [--seconds 25] [--json] [--triggers 10000] [--kills 100] [--items 1000] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _bench import alone
from tests.integration.triggers.helpers import FeedSite, add_feed
from tests.support.loopback_site import Answer, Asked, StandIn, serving
from tests.support.runtime import deploy, make_home, open_runtime, workflow
from tests.support.served_runtime import ServedRuntime, start_runtime

ANSWERS = workflow('@app.post("/")\nasync def f(): return 1\n', title="Answers")
PAUSE_S = 1800
_PROC = Path("/proc")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--triggers", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=25)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    chosen = parser.parse_args()
    seconds, kills = (10, min(chosen.kills, 10)) if chosen.quick else (chosen.seconds, chosen.kills)

    with tempfile.TemporaryDirectory(prefix="codewords-triggers-") as folder, _site() as site:
        path = Path(folder)
        looking, waiting, looks = _idle(path, site, chosen.triggers, seconds)
        items, lost, doubled = _storm(path, site, kills, chosen.items, random.Random(chosen.seed))

    if chosen.json:
        alone(
            f"processor of {chosen.triggers} triggers, looks included",
            looking,
            "% of a core",
            runs=1,
            at_most=2,
        )
        alone(
            f"processor of {chosen.triggers} triggers, no look due", waiting, "% of a core", runs=1, at_most=2
        )
        alone(f"items lost in {kills} kills", lost, "items", runs=items, at_most=0)
        alone(f"items doubled in {kills} kills", doubled, "items", runs=items, at_most=0)
    else:
        print(
            f"{chosen.triggers} triggers, {looks / seconds:.1f} looks a second: {looking} % of a core (at most 2)"
        )
        print(f"{chosen.triggers} triggers, no look due: {waiting} % of a core (at most 2)")
        print(
            f"{items} items, {kills} kills (seed {chosen.seed}): {lost} lost, {doubled} doubled (at most 0)"
        )
    return int(looking > 2 or waiting > 2 or lost > 0 or doubled > 0)


@contextmanager
def _site() -> Generator[StandIn]:
    stand_in = StandIn()
    served = serving(stand_in)
    next(served)
    try:
        yield stand_in
    finally:
        next(served, None)


def _settings(site: StandIn) -> dict[str, str]:
    return {
        "CODEWORDS_EGRESS_ALLOW_PRIVATE": json.dumps([site.url.removeprefix("http://")]),
        "CODEWORDS_QUEUE_LIMIT": "1000000",
        "CODEWORDS_RUNS_KEPT": "1000000",
    }


async def _prepare(home: Path, site: StandIn, path: str) -> str:
    """A home with a workflow and a trigger, which has looked once; the trigger's id."""
    allowed = [site.url.removeprefix("http://")]
    async with open_runtime(make_home(home), egress_allow_private=allowed) as runtime:
        service = await deploy(runtime, ANSWERS)
        return (await add_feed(runtime, service, f"{site.url}{path}", check=False)).id


def _idle(path: Path, site: StandIn, count: int, seconds: float) -> tuple[float, float, int]:
    """(% of a core with looks, % without, looks) of so many triggers, beyond those of an empty home."""

    def unchanged(asked: Asked) -> Answer:
        if asked.headers.get("if-none-match") == '"1"':
            return Answer(304)
        return Answer(200, b"<rss><channel/></rss>", {"ETag": '"1"'})

    site.answer = unchanged
    homes = [make_home(path / "empty"), path / "looking", path / "waiting"]
    asyncio.run(_prepare(homes[1], site, "/feed"))
    _copy(homes[1] / "codewords.db", count)
    # No run starts in them, so that nothing asks for where the first one is.
    shutil.copytree(homes[1], homes[2], symlinks=True)
    _spread(homes[1] / "codewords.db", count)
    with sqlite3.connect(homes[2] / "codewords.db") as database:
        database.execute("UPDATE triggers SET next_at = ?", [int((time.time() + PAUSE_S) * 1e6)])
    database.close()

    with ExitStack() as served:
        runtimes = [served.enter_context(start_runtime(home, **_settings(site))) for home in homes]
        # What a start does once is not what triggers cost.
        time.sleep(8)
        asked, before = len(site.asked), [_processor(runtime) for runtime in runtimes]
        time.sleep(seconds)
        empty, *spent = [_processor(runtime) - at for runtime, at in zip(runtimes, before, strict=True)]
        looks = len(site.asked) - asked
    looking, waiting = (round(100 * (cost - empty) / seconds, 2) for cost in spent)
    return looking, waiting, looks


def _copy(database: Path, count: int) -> None:
    """Copy the trigger."""
    connection = sqlite3.connect(database)
    names = [row[1] for row in connection.execute("PRAGMA table_info(triggers)")]
    chosen = ", ".join("?" if name == "id" else name for name in names)
    (first,) = connection.execute("SELECT id FROM triggers").fetchone()
    with connection:
        for _ in range(count - 1):
            statement = f"INSERT INTO triggers SELECT {chosen} FROM triggers WHERE id = ?"
            connection.execute(statement, [f"trg_{uuid.uuid4().hex}", first])
    connection.close()


def _spread(database: Path, count: int) -> None:
    """Spread the next looks over the pause, as they come to be by themselves."""
    connection = sqlite3.connect(database)
    at = time.time()
    with connection:
        for number, (trigger,) in enumerate(connection.execute("SELECT id FROM triggers").fetchall()):
            times = [int((at + PAUSE_S * number / count) * 1e6), int(at * 1e6), trigger]
            connection.execute("UPDATE triggers SET next_at = ?, polled_at = ? WHERE id = ?", times)
    connection.close()


def _processor(runtime: ServedRuntime) -> float:
    fields = (_PROC / str(runtime.pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _storm(path: Path, site: StandIn, kills: int, count: int, chance: random.Random) -> tuple[int, int, int]:
    """(items, lost, doubled) of a feed with so many new items at once, while the runtime is killed again and again."""
    feeds = FeedSite()
    site.answer = feeds.answer
    home = path / "storm"
    trigger = asyncio.run(_prepare(home, site, "/storm"))
    items: list[str] = []
    for number in range(kills):
        if _waiting(home, trigger, items) == 0:
            new = [f"w{number}i{item}" for item in range(count)]
            items += new
            feeds.items["/storm"] = new[::-1]
        with start_runtime(home, **_settings(site)) as runtime:
            time.sleep(chance.uniform(0.0, 1.5))
            runtime.kill()
        _look_now(home)

    with start_runtime(home, **_settings(site)):
        deadline = time.monotonic() + 600
        while _waiting(home, trigger, items) and time.monotonic() < deadline:
            time.sleep(0.5)

    started = _runs(home, trigger)
    lost = sum(item not in started for item in items)
    return len(items), lost, sum(runs - 1 for runs in started.values())


def _look_now(home: Path) -> None:
    with sqlite3.connect(home / "codewords.db", timeout=30) as database:
        database.execute("UPDATE triggers SET next_at = 0")
    database.close()


def _waiting(home: Path, trigger: str, items: list[str]) -> int:
    """Items without a run."""
    return len(set(items) - set(_runs(home, trigger)))


def _runs(home: Path, trigger: str) -> dict[str, int]:
    database = sqlite3.connect(home / "codewords.db", timeout=30)
    query = "SELECT event_key, count(*) FROM runs WHERE trigger_id = ? GROUP BY event_key"
    found = dict(database.execute(query, [trigger]).fetchall())
    database.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
