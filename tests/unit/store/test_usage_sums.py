"""Sums of what runs used: the same as the plain sum of all of them, before and after they are added up by day."""

from __future__ import annotations

import asyncio
import itertools
import random
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast, get_args

import pytest
from sqlalchemy import Connection, create_engine, event, func, select, text, update
from tests.support.databases import open_database

from codewords_mcp.runtime.model.budget import CostsBy
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.model.usage import UsageBy
from codewords_mcp.runtime.store import model_usage as calls
from codewords_mcp.runtime.store import run_purge, summing, usage
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.model_usage import UsageAccount
from codewords_mcp.runtime.store.tables import runs
from codewords_mcp.runtime.store.usage_tables import COUNTERS, model_usage

pytestmark = [pytest.mark.slow, pytest.mark.requirement("runs:usage-sums")]

MANY = 150
DAYS = 4
STATUSES = (
    "succeeded",
    "failed",
    "timed_out",
    "interrupted",
    "cancelled",
    "queued",
    "running",
    "provisioned",
)
TODAY = now() // usage.DAY
SINCES = tuple((TODAY - days) * usage.DAY for days in range(DAYS + 1))
OWNERS = (None, "ada", "grace")
EVERY = tuple(itertools.product(OWNERS, SINCES))
EDGES = ((None, SINCES[-1]), ("ada", SINCES[0]))
"""Everybody's of all days, and one owner's of today: for tests whose subject is not who asks or since when."""
_DYING = """
import asyncio, itertools, os, signal, sys
from pathlib import Path
from codewords_mcp.runtime.store import summing, usage
from codewords_mcp.runtime.store.database import Database

calls, add = itertools.count(1), usage.sum_up

def add_and_die(connection, run_ids):
    add(connection, run_ids)
    if next(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

usage.sum_up = add_and_die
asyncio.run(summing.sum_up(Database.open(Path(sys.argv[1]), sys.argv[2] or None), at_once=5))
"""
"""Sums twice, and is killed in the third transaction before that is committed."""


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()


@pytest.fixture
def database(url: str | None, tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


def history(chance: random.Random, count: int = MANY) -> list[dict[str, Any]]:
    """Runs of every kind of the last days. Fractions are binary, so that sums do not depend on their order."""
    found: list[dict[str, Any]] = []
    for number in range(count):
        status = chance.choice(STATUSES)
        created = (TODAY - chance.randrange(DAYS)) * usage.DAY + chance.randrange(usage.DAY // 1000)
        started = None if status in {"queued", "provisioned"} else created + chance.randrange(5_000_000)
        running = None if started is None or chance.random() < 0.2 else started + chance.randrange(1_000_000)
        over = status not in {"queued", "running", "provisioned"}
        used: dict[str, Any] = {
            "cpu_seconds": chance.randrange(64) / 16, "peak_memory": chance.randrange(1 << 30),
            "cost": chance.choice((None, 0.25, 0.5)), "egress_in": chance.randrange(1 << 33), "egress_out": 7,
        }  # fmt: skip
        found.append(
            {
                "id": f"r{number}", "owner": chance.choice(("ada", "grace")), "status": status, "created_at": created,
                "service_id": chance.choice((None, "a", "b", "c")), "key_id": chance.choice((None, "k1", "k2")),
                "started_at": started, "running_at": running, "executor": "me",
                "completed_at": (running or started or created) + chance.randrange(9_000_000) if over else None,
            } | (used if chance.random() < 0.8 else dict.fromkeys(usage.SUMMED))
        )  # fmt: skip
    return found


def asked(chance: random.Random, history: list[dict[str, Any]]) -> list[tuple[UsageAccount, dict[str, int]]]:
    """What they asked models, and what was asked without a run."""
    found: list[tuple[UsageAccount, dict[str, int]]] = []
    for run in [*history[::3], *history[::7]]:
        place = (run["owner"], run["service_id"] or "", run["key_id"] or "")
        model = ("openai", chance.choice(("gpt-4o", "a/b")))
        counts = {name: chance.randrange(1000) for name in COUNTERS} | {"cost": chance.randrange(10**12)}
        day = to_text(run["created_at"])[:10]
        found.append((UsageAccount(day, *place, run["id"], False, *model), counts))
        found.append(
            (UsageAccount(day, *place, "above", True, *model), counts)
        )  # what started it, counted once
        found.append((UsageAccount(day, place[0], "", place[2], "", False, *model), counts))
    return found


def store(
    database: Database, history: list[dict[str, Any]], calls_made: list[tuple[UsageAccount, dict[str, int]]]
) -> None:
    def write(connection: Connection) -> None:
        for run in history:
            rows.add(connection, cast("RunColumns", run))
        for account, counts in calls_made:
            calls.add(connection, {account: counts})

    database.write_blocking(write)


def plain(
    history: list[dict[str, Any]], made: list[tuple[UsageAccount, dict[str, int]]], by: UsageBy, owner: str | None, since: int
) -> dict[str | None, dict[str, Any]]:  # fmt: skip
    """The sums, from everything and by nothing but Python."""
    of = {"workflow": "service_id", "key": "key_id"}
    found: dict[str | None, dict[str, Any]] = {}
    zero: dict[str, Any] = dict.fromkeys(
        ("runs", "succeeded", "failed", "waiting_seconds", "starting_seconds", "running_seconds", "egress_in",
         "egress_out", "cpu_seconds", "unpriced"), 0,
    ) | {"peak_memory": None, "cost": None}  # fmt: skip
    for run in history:
        if run["status"] == "provisioned" or run["created_at"] < since or owner not in {None, run["owner"]}:
            continue
        subject = to_text(run["created_at"])[:10] if by == "day" else run[of[by]]
        one = found.setdefault(subject, zero.copy())
        one["runs"] += 1
        one["succeeded"] += run["status"] == "succeeded"
        one["failed"] += run["status"] in {"failed", "timed_out", "interrupted"}
        times = {
            "waiting": (run["created_at"], run["started_at"]),
            "starting": (run["started_at"], run["running_at"] or run["completed_at"]),
            "running": (run["running_at"], run["completed_at"]),
        }
        for name, (begin, end) in times.items():
            one[f"{name}_seconds"] += 0 if begin is None or end is None else end - begin
        for name in ("cpu_seconds", "egress_in", "egress_out"):
            one[name] += run[name] or 0
        if run["peak_memory"] is not None:
            one["peak_memory"] = max(one["peak_memory"] or 0, run["peak_memory"])
        if run["cost"] is not None:
            one["cost"] = (one["cost"] or 0) + run["cost"]
    for account, counts in made:
        of_run = account.run_id and not account.nested
        if not of_run or account.day < to_text(since)[:10] or owner not in {None, account.owner}:
            continue
        subject = account.day if by == "day" else getattr(account, of[by]) or None
        one = found.setdefault(subject, zero.copy())
        one["cost"] = (one["cost"] or 0) + counts["cost"] / usage.PICO
        one["unpriced"] += counts["unpriced"]
    for one in found.values():
        one |= {f"{n}_seconds": one[f"{n}_seconds"] / 1_000_000 for n in ("waiting", "starting", "running")}
    return found


def plain_calls(
    made: list[tuple[UsageAccount, dict[str, int]]], by: CostsBy, owner: str | None, since: str
) -> dict[Any, dict[str, int]]:
    """The same of model calls."""
    found: dict[Any, dict[str, int]] = {}
    for account, counts in made:
        if account.nested or account.day < since or owner not in {None, account.owner}:
            continue
        named = {
            "day": account.day,
            "workflow": account.service_id,
            "key": account.key_id,
            "run": account.run_id,
        }
        subject = named.get(by, (account.provider, account.model))
        one = found.setdefault(subject, dict.fromkeys(COUNTERS, 0))
        for name in COUNTERS:
            one[name] += counts[name]
    return found


def agree(
    database: Database, history: list[dict[str, Any]], made: list[tuple[UsageAccount, dict[str, int]]], *,
    kept: bool = True, asked: Iterable[tuple[str | None, int]] = EDGES,
) -> None:  # fmt: skip
    """All that is asked of sums is as the plain sums say."""
    for owner, since in asked:
        for by in get_args(UsageBy):
            found = database.write_blocking(usage.sums, owner, by=by, since=since)
            expected = plain(history, made, by, owner, since)
            rows = {row.of: row.model_dump(exclude={"of"}) for row in found}
            assert {of: pytest.approx(row, abs=1e-6) for of, row in rows.items()} == expected
        day = to_text(since)[:10]
        for by in get_args(CostsBy) if kept else ("day", "workflow", "key", "model"):
            totals = database.write_blocking(calls.totals, by, owner=owner, since=day, limit=10_000)
            names = [name for name in totals[0] if name not in COUNTERS] if totals else []
            told = {
                tuple(row[name] for name in names) if len(names) > 1 else row[names[0]]: {
                    name: int(row[name]) for name in COUNTERS
                }
                for row in totals
            }
            assert told == plain_calls(made, by, owner, day)
    for matching in ({}, {"service_id": "a"}, {"key_id": "k1"}):
        of = [counts["cost"] for account, counts in made if _matches(account, matching)]
        assert database.write_blocking(calls.spent, **matching) == sum(of)
    single = made[0][0].run_id
    of_one = sum(counts["cost"] for account, counts in made if account.run_id == single)
    if kept:
        assert database.write_blocking(lambda c: calls.spent(c, run_id=single)) == of_one


def _matches(account: UsageAccount, matching: dict[str, str]) -> bool:
    return not account.nested and all(getattr(account, name) == value for name, value in matching.items())


def unsummed(database: Database) -> int:
    ended = runs.c.status.not_in((*UNFINISHED, "provisioned"))
    query = select(func.count()).where(runs.c.summed.is_(None), ended)
    return database.write_blocking(lambda c: c.execute(query).scalar_one())


SETTLED = -usage.DAY
"""Times of today may be ahead of now: whatever has ended is old enough."""


def sum_up(database: Database, at_once: int = 100, settled_us: int = SETTLED) -> None:
    asyncio.run(summing.sum_up(database, at_once=at_once, settled_us=settled_us))


def test_sums_are_the_plain_sums_before_and_after_runs_are_added_up_and_when_those_are_gone(
    database: Database,
) -> None:
    chance = random.Random(1)
    told = history(chance)
    made = asked(chance, told)
    store(database, told, made)
    agree(database, told, made)
    sum_up(database)
    assert unsummed(database) == 0
    agree(database, told, made)
    more = history(random.Random(2), 50)
    for run in more:
        run["id"] += " later"
    late = asked(chance, more) + [(account, counts) for account, counts in made[::5]]
    store(database, more, late)
    told, made = told + more, made + late
    agree(database, told, made, asked=EVERY)
    sum_up(database)
    agree(database, told, made)
    while database.write_blocking(lambda c: run_purge.purge(c, (TODAY + 1) * usage.DAY)):
        pass
    left = database.write_blocking(lambda c: c.execute(select(runs.c.status).distinct()).scalars().all())
    assert set(left) == {"queued", "running"}
    database.write_blocking(lambda c: calls.purge(c, to_text(SINCES[0])[:10], ""))
    agree(database, told, made, kept=False)


def test_the_last_transaction_may_find_nothing_to_add(database: Database) -> None:
    told = [run for run in history(random.Random(9), 60) if run["status"] == "succeeded"]
    made = [
        (account, counts)
        for account, counts in asked(random.Random(9), told)
        if account.run_id == told[0]["id"]
    ]
    store(database, told, made)
    sum_up(database, at_once=1)
    assert unsummed(database) == 0
    assert {summed for _, summed in _accounts(database)} == {True}
    agree(database, told, made)


def test_what_is_on_record_of_a_run_only_after_it_was_added_up_is_added_and_only_once(
    database: Database,
) -> None:
    told = history(random.Random(3), 40)
    store(database, told, made := asked(random.Random(3), told))
    sum_up(database)
    for run in told:
        if run["status"] == "provisioned":
            continue
        late: dict[str, Any] = {
            "cpu_seconds": 0.5,
            "peak_memory": 1 << 29,
            "cost": 0.125,
            "egress_in": 3,
            "egress_out": None,
        }
        for holder in ("me", "another"):
            database.write_blocking(
                usage.add, run["id"], holder, used={}, steps=[], summed=usage.SummedUsage(**late)
            )
        run["peak_memory"] = max(run["peak_memory"] or 0, late["peak_memory"])
        for name in ("cpu_seconds", "cost", "egress_in"):
            run[name] = (run[name] or 0) + late[name]
        run["egress_out"] = run["egress_out"] or None
    agree(database, told, made)
    sum_up(database)
    agree(database, told, made)


def test_a_run_that_is_tried_again_is_summed_once_when_it_has_ended(database: Database) -> None:
    told = history(random.Random(4), 30)
    store(database, told, made := asked(random.Random(4), told))
    sum_up(database)
    for run in told:
        if run["status"] in {"queued", "running"}:
            ended: RunColumns = {
                "status": "succeeded",
                "completed_at": run["created_at"] + 9,
                "started_at": run["created_at"],
            }
            database.write_blocking(rows.change, run["id"], ended, holder="me")
            run.update(ended)
    agree(database, told, made)
    sum_up(database)
    agree(database, told, made)


def test_kill_9_in_the_middle_of_adding_up_loses_nothing_and_doubles_nothing(
    database: Database, url: str | None, tmp_path: Path
) -> None:
    told = history(random.Random(5))
    for run in told:  # another process goes by its own clock
        run["created_at"] -= 2 * usage.DAY
        for name in ("started_at", "running_at", "completed_at"):
            run[name] = run[name] and run[name] - 2 * usage.DAY
    made = asked(random.Random(5), told)
    store(database, told, made)
    left = unsummed(database)
    for _ in range(2):
        command = [sys.executable, "-c", _DYING, str(tmp_path), url or ""]
        assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL
        before, left = left, unsummed(database)
        assert left == before - 10
        agree(database, told, made)
    sum_up(database)
    assert unsummed(database) == 0
    agree(database, told, made)


@pytest.mark.requirement("store:postgres")
def test_several_processes_that_add_up_at_the_same_time_add_each_run_once(
    postgres: Any, tmp_path: Path
) -> None:
    url = postgres.migrated_url()
    several = [open_database(tmp_path, url) for _ in range(3)]
    told = history(random.Random(6))
    store(several[0], told, made := asked(random.Random(6), told))

    def add_up(database: Database) -> None:
        while unsummed(database):
            sum_up(database, at_once=20)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add_up, several))
    agree(several[0], told, made)
    for database in several:
        database.close()


def test_runs_that_replicas_of_a_version_without_sums_write_are_added_up(
    url: str | None, tmp_path: Path
) -> None:
    open_database(tmp_path, url).close()
    engine = create_engine(database_url(url or f"sqlite:///{tmp_path / 'codewords.db'}"))
    told = history(random.Random(7), MANY)
    made = asked(random.Random(7), told)

    def write_as_before(part: slice) -> None:
        columns = ", ".join(told[0])
        values = ", ".join(f":{name}" for name in told[0])
        rest = {"response_truncated": False, "attempts": "[]", "steps": "[]", "usage": "{}", "timings": "{}",
                "background": False, "retries": 0, "in_queue": False, "deliveries": 0, "depth": 0, "priority": 50,
                "cancel_asked": False}  # fmt: skip
        more, given = ", ".join(rest), ", ".join(f":{name}" for name in rest)
        with engine.begin() as connection:
            connection.execute(
                text(f"INSERT INTO runs ({columns}, {more}) VALUES ({values}, {given})"),
                [run | rest for run in told[part]],
            )

    write_as_before(slice(0, 100))
    opened = open_database(tmp_path, url)
    opened.write_blocking(lambda c: [calls.add(c, {account: counts}) for account, counts in made])
    agree(opened, told[:100], made)
    sum_up(opened)
    write_as_before(slice(100, None))
    agree(opened, told, made)
    sum_up(opened)
    assert unsummed(opened) == 0
    agree(opened, told, made)
    engine.dispose()
    opened.close()


def test_a_run_that_is_not_added_up_yet_is_not_purged(database: Database) -> None:
    told = history(random.Random(8), 60)
    store(database, told, [])
    provisioned = sum(run["status"] == "provisioned" for run in told)
    assert database.write_blocking(lambda c: run_purge.purge(c, (TODAY + 1) * usage.DAY)) == provisioned
    sum_up(database)
    ended = sum(run["status"] not in (*UNFINISHED, "provisioned") for run in told)
    assert database.write_blocking(lambda c: run_purge.purge(c, (TODAY + 1) * usage.DAY)) == ended


def test_an_account_of_a_run_that_goes_on_stays_one_row(database: Database) -> None:
    account = UsageAccount(to_text(now())[:10], "ada", "a", "k1", "r0", False, "openai", "gpt-4o")
    going = {"id": "r0", "owner": "ada", "status": "running", "created_at": now(), "service_id": "a"}
    store(database, [going], [])
    for _ in range(3):
        database.write_blocking(lambda c: calls.add(c, {account: {"calls": 1}}))
        sum_up(database, settled_us=summing.SETTLED)
    assert _accounts(database) == [(3, None)]
    ended = {"status": "succeeded", "completed_at": now() - 2 * summing.SETTLED}
    database.write_blocking(lambda c: c.execute(update(runs).values(ended)))
    sum_up(database, settled_us=summing.SETTLED)
    database.write_blocking(lambda c: calls.add(c, {account: {"calls": 4}}))
    assert sorted(_accounts(database)) == [(3, True), (4, None)]
    (row,) = database.write_blocking(lambda c: calls.of_runs(c, ["r0"]))
    assert row["calls"] == 7


def _accounts(database: Database) -> list[tuple[int, bool | None]]:
    query = select(model_usage.c.calls, model_usage.c.summed)
    return [(row.calls, row.summed) for row in database.write_blocking(lambda c: c.execute(query).all())]


def test_the_sums_of_an_owner_read_only_what_is_not_summed(tmp_path: Path) -> None:
    database = open_database(tmp_path, None)

    def explain(connection: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []

        def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            asked.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        usage.sums(connection, "ada", by="day", since=0)
        event.remove(connection, "before_cursor_execute", note)
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values).all() for one, values in asked
        ]
        return [str(row.detail) for plan in plans for row in plan]

    steps = [step for step in database.write_blocking(explain) if " runs " in step]
    assert steps
    assert all("ix_runs_unsummed" in step for step in steps), steps
    database.close()
