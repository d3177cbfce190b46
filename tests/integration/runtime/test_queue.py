"""The durable queue by itself: what it hands out, and what it keeps of runs that ended, failed or were left by a dead process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import InterfaceError
from tests.support.background_runs import WORK, cancel, start
from tests.support.runtime import deploy, finished, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.runs.queue import AHEAD, QUEUE, RunQueue
from codewords_mcp.runtime.store.database import Database

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("store:postgres")]
LIMIT = 2


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = Database.open(tmp_path, url)
    yield opened
    opened.close()


@asynccontextmanager
async def opened_queue(
    database: Database, execute: Callable[[str], Awaitable[None]]
) -> AsyncGenerator[RunQueue]:
    queue = RunQueue(database.engine, "this", limit=LIMIT, execute=execute)
    await queue.open()
    try:
        yield queue
    finally:
        await queue.close()


async def put(database: Database, queue: RunQueue, *run_ids: str, partition: str = "p") -> None:
    def put_all(connection: Connection) -> None:
        for run_id in run_ids:
            queue.put(connection, run_id, 1, partition=partition, priority=50, delay=0)

    await database.write(put_all)


async def stored(database: Database) -> dict[str, str]:
    """The entries in the database, each with its status."""
    table = "dbos.workflow_status" if database.shared else "workflow_status"
    query = text(f"SELECT workflow_uuid, status FROM {table}")
    rows = await database.read(lambda c: c.execute(query).all())
    return {row[0]: row[1] for row in rows}


@pytest.mark.requirement("runs:line")
async def test_runs_that_ended_leave_nothing_and_no_more_than_the_limit_are_handed_out(
    database: Database,
) -> None:
    run_ids = [f"r{n}" for n in range(3 * (LIMIT + AHEAD))]
    others = ["s0", "s1"]
    begun: list[str] = []
    go_on = asyncio.Event()

    async def execute(run_id: str) -> None:
        begun.append(run_id)
        await go_on.wait()

    async with opened_queue(database, execute) as queue:
        await put(database, queue, *run_ids)

        async def full() -> bool:
            return len(begun) == LIMIT + AHEAD

        await until_async(full)
        # The second one is handed out by a poll that began after the first one's had looked at all partitions.
        for number, other in enumerate(others, 1):
            await put(database, queue, other, partition="q")
            await until_async(lambda number=number: len(begun) >= LIMIT + AHEAD + number)
            assert begun[LIMIT + AHEAD :] == others[:number]
        assert queue.orphaned({"this"}) == []

        go_on.set()

        async def empty() -> bool:
            return await stored(database) == {}

        await until_async(empty)
        assert sorted(begun) == sorted(run_ids + others)


@pytest.mark.requirement("runs:line")
async def test_the_queue_of_a_new_home_is_served_at_once(tmp_path: Path) -> None:
    """dbos starts a thread for each queue that it finds, and looks for new ones after a second."""
    database = Database.open(tmp_path)

    async def execute(_run_id: str) -> None:
        return

    async with opened_queue(database, execute):

        async def looked() -> bool:  # it has a queue of its own, whose thread it starts last
            return any(name.startswith("queue-worker-_") for name in worker_names())

        await until_async(looked)
        assert f"queue-worker-{QUEUE}" in worker_names()
    database.close()


def worker_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.mark.requirement("runs:line")
async def test_a_run_that_could_not_be_begun_keeps_its_entry(database: Database) -> None:
    async def execute(run_id: str) -> None:
        if run_id == "bad":
            raise StorageFailed("The database is away.")

    async with opened_queue(database, execute) as queue:
        await put(database, queue, "bad", "good")

        async def one_is_left() -> bool:
            return await stored(database) == {"bad/1": "PENDING"}

        await until_async(one_is_left)
        assert queue.failed == {"bad/1"}


@pytest.mark.requirement("runs:line")
async def test_finished_entries_are_removed_once_the_store_takes_it(database: Database) -> None:
    refusals = list[str]()

    def refuse_twice(_c: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "DELETE FROM" in statement and "workflow_input" in statement and len(refusals) < 2:
            refusals.append(statement)
            raise InterfaceError(statement, {}, Exception("the store refuses"))

    async def execute(_run_id: str) -> None:
        return

    async with opened_queue(database, execute) as queue:
        event.listen(database.engine, "before_cursor_execute", refuse_twice)
        await put(database, queue, "a", "b")

        async def empty() -> bool:
            return await stored(database) == {}

        await until_async(empty)
        assert len(refusals) == 2


@pytest.mark.requirement("runs:line")
async def test_what_a_killed_process_was_carrying_out_takes_nobody_s_place(tmp_path: Path) -> None:
    """Of a home on SQLite, where no other process looks for the dead, and none of whose runs waits."""
    home = make_home(tmp_path / "home")
    database = Database.open(home)
    settings = {"concurrency": LIMIT, "shares_driver": True}
    async with open_runtime(home, **settings) as runtime:
        service = await deploy(runtime, WORK)
        waiting = await start(runtime, service, "never", delay=600)
        partition = await database.read(partition_of, waiting)
        await cancel(runtime, waiting)

    held = asyncio.Event()

    async def execute(_run_id: str) -> None:
        await held.wait()

    async with opened_queue(database, execute) as queue:
        await put(database, queue, *(f"r{n}" for n in range(LIMIT + AHEAD)), partition=partition)

        async def all_are_claimed() -> bool:
            return list((await stored(database)).values()).count("PENDING") == LIMIT + AHEAD

        await until_async(all_are_claimed)
    # It ended without a word to the queue.
    assert await all_are_claimed()

    async with open_runtime(home, **settings) as runtime:
        delayed = await start(runtime, service, "later", delay=0.2)
        assert await database.read(partition_of, delayed) == partition
        assert (await finished(runtime, delayed)).status == "succeeded"
    database.close()


def partition_of(connection: Connection, run_id: str) -> str:
    query = text("SELECT queue_partition_key FROM workflow_status WHERE workflow_uuid = :entry")
    return connection.execute(query, {"entry": f"{run_id}/1"}).scalar_one()
