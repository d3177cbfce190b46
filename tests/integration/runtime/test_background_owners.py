"""Who holds a background run, when processes, connections and the store fail or are taken for dead."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text
from tests.support.background_runs import WORK, cancel, fill, says, start, with_options
from tests.support.runtime import (
    ADMIN,
    deploy,
    finished,
    log_text,
    request,
    until_run,
)
from tests.support.waiting import until_async

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.api.tasks import TaskStore
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.schedule import ScheduleRequest
from codewords_mcp.runtime.runs import background_run, records
from codewords_mcp.runtime.runs import queue as queues
from codewords_mcp.runtime.runs.headroom import Headroom
from codewords_mcp.runtime.runs.lease import Lease
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.store import executors, runs

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("store:postgres")]


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("replicas:fence", "runs:cancel")
async def test_a_replica_that_fenced_itself_and_lives_goes_on_with_what_it_let_go(runtime: Runtime) -> None:
    service = await deploy(runtime, with_options(WORK, "retries = 1"), name="fenced")
    begun, unwanted = await fill(runtime, service)
    waiting = await start(runtime, service, "waiting")
    replica = runtime._container.replica  # pyright: ignore[reportPrivateUsage]
    assert replica is not None
    replica._fence()  # pyright: ignore[reportPrivateUsage]
    await cancel(runtime, unwanted)  # though it was being let go of
    assert (await finished(runtime, waiting)).status == "succeeded"
    await until_run(runtime, begun, lambda run: len(run.attempts) == 2)
    await cancel(runtime, begun)
    assert [a.outcome for a in (await finished(runtime, begun)).attempts] == ["interrupted", "cancelled"]


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("replicas:take-over", "runs:durable")
async def test_who_ends_a_run_that_was_taken_over_leaves_what_was_asked_to_whoever_has_it(
    runtime: Runtime,
) -> None:
    service = await deploy(runtime, with_options(WORK, "retries = 1"), name="taken over")
    taken = await start(runtime, service, "x", seconds=2)
    await until_run(runtime, taken, lambda run: run.status == "running")
    container = runtime._container  # pyright: ignore[reportPrivateUsage]

    def take(connection: Connection) -> None:
        executors.seen(connection, "another", "1")
        runs.change(connection, taken, {"executor": "another"})

    await container.database.write(take)
    here = container.dispatcher._active[taken]  # pyright: ignore[reportPrivateUsage]
    here.cancel("it is not its any more")
    assert here.task is not None
    await here.task
    await container.database.write(lambda c: executors.leave(c, "another"))
    run = await finished(runtime, taken)
    assert [a.outcome for a in run.attempts] == ["interrupted", "succeeded"]


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("runs:line", "replicas:database-away")
async def test_what_the_line_gave_and_a_broken_connection_took_is_given_again(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    queue = container.dispatcher.background._queue  # pyright: ignore[reportPrivateUsage]
    carry, failures = container.dispatcher.background.execute, 1

    async def once_in_vain(run_id: str) -> None:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise StorageFailed("The database is away.")
        await carry(run_id)

    monkeypatch.setattr(queue, "_execute", once_in_vain)
    monkeypatch.setattr(queues, "ORPHANED_AFTER", 0.2)
    first = await start(runtime, work, "first", delay=0.1)
    assert (await finished(runtime, first)).status == "succeeded"
    assert failures == -1

    delayed = await start(runtime, work, "astray", delay=1)
    given = text(
        "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :me WHERE workflow_uuid = :entry"
    )
    names = {"me": container.dispatcher._context.registry.executor, "entry": f"{delayed}/1"}  # pyright: ignore[reportPrivateUsage]
    assert (await container.database.write(lambda c: c.execute(given, names).rowcount)) == 1
    run = await finished(runtime, delayed)
    assert (run.status, len(run.attempts)) == ("succeeded", 1)


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("runs:once", "replicas:take-over")
async def test_what_was_taken_over_on_its_way_to_a_sandbox_is_begun_by_whoever_has_it_only(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a process that stood still for longer than the others wait for it."""
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    holders = await fill(runtime, work)
    run_id = await start(runtime, work, "x")
    take, sandboxes, entered = SandboxAllocator.take, list[str](), 0

    async def counted(supply: SandboxAllocator, kit: Any, caller: Caller, *more: Any) -> Lease:
        sandboxes.append(caller.run_id or "")
        return await take(supply, kit, caller, *more)

    async def stood_still(*_: Any) -> Callable[[], None]:
        nonlocal entered
        entered += 1
        if entered == 1:
            await container.database.write(lambda c: runs.change(c, run_id, {"executor": "another"}))
        return lambda: None

    monkeypatch.setattr(SandboxAllocator, "take", counted)
    monkeypatch.setattr(Headroom, "enter", stood_still)
    await cancel(runtime, *holders)
    run = await finished(runtime, run_id)
    assert (run.status, len(run.attempts), sandboxes, entered) == ("succeeded", 1, [run_id], 2)


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("logs:order", "runs:once")
async def test_the_log_of_a_run_takes_lines_of_the_process_only_that_holds_it(
    runtime: Runtime, work: str
) -> None:
    """Else those of one that was taken for dead would be where the other's are to be, and these be lost."""
    context = runtime._container.dispatcher._context  # pyright: ignore[reportPrivateUsage]
    database, journal, me = context.database, context.journal, context.registry.executor
    run_id = await start(runtime, work, "x", seconds=600)
    await says(runtime, run_id, "began")
    run_log = journal.live(run_id)
    assert run_log is not None

    async def say(line: str, holder: str) -> None:
        await database.write(lambda c: runs.change(c, run_id, {"executor": holder}))
        run_log.write_platform_line(line)
        journal.flush()
        await database.write(lambda c: runs.change(c, run_id, {"executor": me}))

    await database.write(lambda c: executors.seen(c, "another", "1"))
    await say("of one that was taken for dead", "another")
    await say("of the holder", me)
    await database.write(lambda c: executors.leave(c, "another"))
    await cancel(runtime, run_id)
    assert [line for line in (await log_text(runtime, run_id)).splitlines() if "INFO" not in line] == [
        "began x",
        "of the holder",
    ]


@pytest.mark.requirement("runs:durable")
async def test_a_run_that_the_store_fails_just_after_it_got_its_slot_gets_one_again(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_run, "STORE_PAUSE", 0.1)
    for way in ("at once", "from the line"):
        holders = await fill(runtime, work) if way == "from the line" else []
        with monkeypatch.context() as patched:
            patched.setattr(Headroom, "enter", once_without_store())
            run_id = await start(runtime, work, "x")
            await cancel(runtime, *holders)
            run = await finished(runtime, run_id)
            assert (run.status, len(run.attempts)) == ("succeeded", 1), way
    await cancel(runtime, *await fill(runtime, work))  # every slot is there


def once_without_store() -> Callable[..., Coroutine[Any, Any, Callable[[], None]]]:
    """What fails of the store the first time."""
    left = 1

    async def enter(*_: Any) -> Callable[[], None]:
        nonlocal left
        left -= 1
        if left >= 0:
            raise StorageFailed("The database is away.")
        return lambda: None

    return enter


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("runs:durable", "replicas:database-away")
async def test_a_service_that_a_database_refuses_to_begin_is_called_once_it_takes_it(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that has become a standby: it can be read, and takes no write."""
    monkeypatch.setattr(background_run, "STORE_PAUSE", 0.1)
    database = runtime._container.database  # pyright: ignore[reportPrivateUsage]
    refuse = """
        CREATE SEQUENCE refused;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('refused'); RAISE EXCEPTION 'a standby takes no write' USING ERRCODE = 'read_only_sql_transaction'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON runs FOR EACH ROW WHEN (NEW.status = 'running') EXECUTE FUNCTION refuse();
    """
    holders = await fill(runtime, work)
    run_id = await runtime.runs.start(request("schedule_runs", {"operation": "list"}))
    await database.write(lambda c: c.execute(text(refuse)))
    await cancel(runtime, *holders)
    refused = text("SELECT is_called FROM refused")
    await until_async(lambda: database.read(lambda c: c.execute(refused).scalar()))
    await database.write(lambda c: c.execute(text("DROP TRIGGER refuse ON runs; DROP FUNCTION refuse")))
    run = await finished(runtime, run_id)
    assert (run.status, len(run.attempts)) == ("succeeded", 1), run.error


@pytest.mark.requirement("runs:durable", "runs:cancel")
@pytest.mark.parametrize("how", ["in the background", "waited for"])
async def test_a_caller_that_hangs_up_while_its_run_is_recorded_leaves_none_that_nobody_carries_out(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    record, recorded, left = records._record, threading.Event(), threading.Event()  # pyright: ignore[reportPrivateUsage]

    def slowly(*asked: Any) -> str | None:
        first = record(*asked)
        recorded.set()
        left.wait(120)
        return first

    before = {run.id for run in (await runtime.runs.list(ADMIN, service_id=work)).items}
    asked = request(work, {"name": "x", "seconds": 0}, idempotency_key=f"hung up {how}")
    with monkeypatch.context() as patched:
        patched.setattr(records, "_record", slowly)
        asking = asyncio.ensure_future(
            runtime.runs.start(asked) if how == "in the background" else runtime.runs.execute(asked)
        )
        assert await asyncio.to_thread(recorded.wait, 30)
        asking.cancel()
        await asyncio.wait({asking})
        left.set()
    assert asking.cancelled()

    async def new_runs() -> list[str]:
        runs = await runtime.runs.list(ADMIN, service_id=work)
        return [run.id for run in runs.items if run.id not in before]

    new = await until_async(new_runs)
    run = await finished(runtime, new[0])
    assert run.status == ("succeeded" if how == "in the background" else "cancelled")
    await cancel(runtime, *await fill(runtime, work))  # every slot is there


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("replicas:clocks")
@pytest.mark.parametrize("hours", [-3, 3], ids=["behind", "ahead"])
async def test_a_replica_whose_clock_is_wrong_starts_nothing_early_and_takes_nobody_for_dead(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    soon = (datetime.now(UTC) + timedelta(minutes=10)).isoformat()
    schedule = await runtime.schedules.create(
        ADMIN, ScheduleRequest(service_id=work, at=soon, input={"name": "x"})
    )
    task = await container.tasks.add(container.tasks.new_id(), "somebody", "a_tool", {})
    long = await start(runtime, work, "long", seconds=600)
    true_time = time.time_ns
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", lambda: true_time() + hours * 3600 * 10**9)
        await container.scheduler.fire()
        seen = await TaskStore(container.database, "another", dead_after=15).get(task.id, "somebody")
        assert not seen.abandoned
        assert container.replica is not None
        await container.replica._round()  # pyright: ignore[reportPrivateUsage]
    assert (await runtime.schedules.get(ADMIN, schedule.id)).last_run_id is None
    await runtime.schedules.delete(ADMIN, schedule.id)
    run = await runtime.runs.get(ADMIN, long)
    assert (run.status in {"starting", "running"}, len(run.attempts)) == (True, 1)
    await cancel(runtime, long)


@pytest.mark.parametrize("runtime", ["postgres"], indirect=True)
@pytest.mark.requirement("runs:line", "replicas:take-over")
async def test_who_is_stopped_while_it_takes_back_what_the_line_gave_the_dead_loses_no_run(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    take_out, stopped = queues.RunQueue.remove, 0

    def stops(queue: queues.RunQueue, entries: Collection[str]) -> None:
        nonlocal stopped
        take_out(queue, entries)
        stopped += 1
        if stopped == 1:
            raise StorageFailed("This process is stopped here.")

    monkeypatch.setattr(queues.RunQueue, "remove", stops)
    delayed = await start(runtime, work, "x", delay=1)
    given = text(
        "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = 'dead' WHERE workflow_uuid = :entry"
    )
    entry = {"entry": f"{delayed}/1"}
    assert (await container.database.write(lambda c: c.execute(given, entry).rowcount)) == 1
    run = await finished(runtime, delayed)
    assert (run.status, len(run.attempts), stopped) == ("succeeded", 1, 1)
