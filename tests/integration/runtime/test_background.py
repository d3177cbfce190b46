"""Background runs: in line, tried again, cancelled, gone on with after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from tests.support.background_runs import WORK, cancel, fill, start, with_options
from tests.support.runtime import (
    ADMIN,
    deploy,
    finished,
    log_text,
    request,
    until_run,
)
from tests.support.waiting import until_async

from codewords_mcp.errors import Conflict, NotFound, RunCancelled, TooBusy
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth.authority import Permissions
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import FINISHED, Run
from codewords_mcp.runtime.runs import background_run
from codewords_mcp.runtime.runs import cancellation as breaking
from codewords_mcp.runtime.runs.lease import Lease
from codewords_mcp.runtime.runs.registry import ActiveRun, RunRegistry
from codewords_mcp.runtime.runs.sandbox_allocator import SandboxAllocator
from codewords_mcp.runtime.store import executors

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("store:postgres")]


@pytest.mark.requirement("runs:times", "runs:background")
async def test_waiting_starting_and_running_are_told_apart_by_their_times(
    runtime: Runtime, work: str
) -> None:
    run = await finished(runtime, await start(runtime, work, "x"))
    assert run.status == "succeeded"
    times = [run.created_at, run.started_at, run.running_at, run.completed_at]
    assert None not in times
    assert times == sorted(time for time in times if time)
    assert run.background


@pytest.mark.requirement("runs:background")
async def test_a_run_that_goes_on_here_is_read_once_by_whoever_waits_for_it_and_by_nobody_else(
    runtime: Runtime, work: str
) -> None:
    reads = list[str]()

    def count(_c: Connection, _cursor: object, statement: str, *_: object) -> None:
        # the whole record
        if statement.startswith("SELECT") and "response_content" in statement:
            reads.append(statement)

    run_id = await start(runtime, work, "x", seconds=3)
    engine = runtime._container.database.engine  # pyright: ignore[reportPrivateUsage]
    event.listen(engine, "before_cursor_execute", count)
    run = await runtime.runs.get(ADMIN, run_id, wait=60)
    event.remove(engine, "before_cursor_execute", count)
    assert (run.status, len(reads)) == ("succeeded", 1)

    longer = await start(runtime, work, "x", seconds=600)
    assert (await runtime.runs.get(ADMIN, longer, wait=0.3)).status not in FINISHED
    with pytest.raises(NotFound):
        async with asyncio.timeout(30):
            await runtime.runs.get(Caller("somebody else", "user", key_id="k"), longer, wait=600)
    await cancel(runtime, longer)


@pytest.mark.requirement("runs:line", "runs:once")
async def test_over_the_limit_runs_wait_by_priority_and_each_is_carried_out_once(
    runtime: Runtime, work: str
) -> None:
    holders = await fill(runtime, work)
    names = {"last": 90, "usual": 50, "first": 10}
    waiting = [await start(runtime, work, name, priority=priority) for name, priority in names.items()]
    for run_id in waiting:
        run = await runtime.runs.get(ADMIN, run_id)
        assert (run.status, run.started_at, run.attempts) == ("queued", None, [])

    async def all_wait() -> bool:  # in memory, out of the table
        return (await runtime.status.describe(ADMIN))["runs"]["queued"] >= len(waiting)

    await until_async(all_wait)
    # One slot becomes free, for one after the other: runs that get several at once begin beside each other.
    await cancel(runtime, holders.pop())
    done = [await finished(runtime, run_id) for run_id in waiting]
    assert [run.status for run in done] == ["succeeded"] * 3
    assert [len(run.attempts) for run in done] == [1] * 3
    for run_id, name in zip(waiting, names, strict=True):
        assert (await log_text(runtime, run_id)).count(f"began {name}") == 1
    begun = sorted((run.started_at, name) for name, run in zip(names, done, strict=True) if run.started_at)
    assert [name for _, name in begun] == ["first", "usual", "last"]
    await cancel(runtime, *holders)


@pytest.mark.requirement("runs:line")
async def test_beyond_the_bound_of_the_line_a_run_is_turned_away(runtime: Runtime, work: str) -> None:
    holders = await fill(runtime, work)
    waiting = [await start(runtime, work, "w", seconds=600) for _ in range(runtime.settings.queue_limit)]
    with pytest.raises(TooBusy) as caught:
        await start(runtime, work, "too many")
    assert caught.value.retry_after > 0
    await cancel(runtime, *waiting, *holders)
    assert (await finished(runtime, await start(runtime, work, "after"))).status == "succeeded"


@pytest.mark.requirement("runs:cancel")
async def test_a_run_that_waits_is_cancelled_without_ever_starting(runtime: Runtime, work: str) -> None:
    holders = await fill(runtime, work)
    waiting = await start(runtime, work, "never")
    await cancel(runtime, waiting)
    await cancel(runtime, *holders)
    run = await finished(runtime, waiting)
    assert (run.status, run.started_at) == ("cancelled", None)
    assert await log_text(runtime, waiting) == ""


@pytest.mark.requirement("runs:line")
async def test_a_delayed_run_waits_for_its_time(runtime: Runtime, work: str) -> None:
    run = await finished(runtime, await start(runtime, work, "later", delay=1.5))
    assert run.status == "succeeded"
    assert run.not_before is not None
    assert run.started_at is not None
    assert run.started_at >= run.not_before


@pytest.mark.requirement("runs:line")
async def test_nothing_waits_behind_a_run_that_waits_for_its_time(runtime: Runtime, work: str) -> None:
    delayed = await start(runtime, work, "next week", delay=600_000)
    now = await runtime.runs.get(ADMIN, await start(runtime, work, "now"))
    assert (now.status != "queued", now.waits_for) == (True, None)
    await finished(runtime, now.id)
    await cancel(runtime, delayed)


@pytest.mark.requirement("runs:retries")
async def test_a_failing_run_is_tried_as_often_as_its_header_says_and_each_attempt_is_told(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_run, "FIRST_PAUSE", 0.01)
    service = await deploy(runtime, with_options(WORK, "retries = 2"), name="retried")
    run = await finished(runtime, await start(runtime, service, "x", path="/fail"))
    assert run.status == "failed"
    assert [(a.number, a.outcome) for a in run.attempts] == [(1, "failed"), (2, "failed"), (3, "failed")]
    text = await log_text(runtime, run.id)
    assert text.count("RuntimeError: not this time") == 3
    assert "attempt 3 of 3: attempt 2 failed" in text
    assert run.response_status == 500


@pytest.mark.requirement("runs:retries")
async def test_a_failing_run_is_not_tried_again_by_default_and_a_success_never(
    runtime: Runtime, work: str
) -> None:
    assert len((await finished(runtime, await start(runtime, work, "x", path="/fail"))).attempts) == 1
    assert len((await finished(runtime, await start(runtime, work, "x"))).attempts) == 1


@pytest.mark.requirement("runs:retries", "runs:cancel")
async def test_a_run_that_pauses_between_attempts_can_be_cancelled(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_run, "FIRST_PAUSE", 60.0)
    service = await deploy(runtime, with_options(WORK, "retries = 5"), name="paused")
    run_id = await start(runtime, service, "x", path="/fail")
    await until_run(runtime, run_id, lambda run: run.attempts and run.status == "queued")
    await cancel(runtime, run_id)
    run = await finished(runtime, run_id)
    assert (run.status, [a.outcome for a in run.attempts]) == ("cancelled", ["failed"])


@pytest.mark.requirement("runs:cancel-family")
async def test_cancelling_a_run_cancels_what_it_has_started(runtime: Runtime, work: str) -> None:
    parent = await start(runtime, work, "parent", seconds=600)
    of_parent = Caller("local", "run", run_id=parent)
    child = await start(runtime, work, "child", seconds=600, caller=of_parent)
    of_child = Caller("local", "run", run_id=child)
    grandchild = await start(runtime, work, "grandchild", seconds=600, caller=of_child)
    await cancel(runtime, parent)
    family: list[Run] = [await finished(runtime, run_id) for run_id in (child, grandchild)]
    assert [(run.status, run.depth) for run in family] == [("cancelled", 1), ("cancelled", 2)]
    assert family[0].parent_id == parent
    assert len({run.correlation_id for run in family} | {parent}) == 1


@pytest.mark.requirement("runs:cancel-family")
async def test_cancelling_a_run_reaches_what_goes_on_below_a_run_that_has_ended(
    runtime: Runtime, work: str
) -> None:
    parent = await start(runtime, work, "parent", seconds=600)
    child = await start(runtime, work, "child", caller=Caller("local", "run", run_id=parent))
    await log_text(runtime, child)  # to its very end
    # as if it had called before its end
    permissions = Permissions.of(work, "local", Manifest())
    runtime._container.authorities.begin(child, "local", permissions, ())  # pyright: ignore[reportPrivateUsage]
    grandchild = await start(
        runtime, work, "grandchild", seconds=600, caller=Caller("local", "run", run_id=child)
    )
    await cancel(runtime, parent)
    assert (await finished(runtime, grandchild)).status == "cancelled"


@pytest.mark.requirement("runs:depth")
async def test_a_chain_of_calls_without_end_is_stopped(runtime: Runtime, work: str) -> None:
    parent = await start(runtime, work, "0")
    with pytest.raises(Conflict, match="deep"):
        for number in range(1, 50):
            await log_text(runtime, parent)  # to its very end: until its sandbox is gone it has its slot
            caller = Caller("local", "run", run_id=parent)
            # as if it had called before its end
            permissions = Permissions.of(work, "local", Manifest())
            runtime._container.authorities.begin(parent, "local", permissions, ())  # pyright: ignore[reportPrivateUsage]
            parent = await start(runtime, work, str(number), caller=caller)
    assert (await runtime.runs.get(ADMIN, parent)).depth == 20


@pytest.mark.requirement("runs:idempotency")
async def test_one_idempotency_key_used_by_many_at_once_makes_one_run(runtime: Runtime, work: str) -> None:
    ids = await asyncio.gather(*(start(runtime, work, str(n), idempotency_key="the-one") for n in range(10)))
    assert len(set(ids)) == 1
    assert (await finished(runtime, ids[0])).status == "succeeded"
    assert (await finished(runtime, await start(runtime, work, "free again"))).status == "succeeded"


def entering(monkeypatch: pytest.MonkeyPatch, then: Callable[[ActiveRun], None]) -> None:
    """Do something to each run in the moment in which it comes to this process, before its task has begun."""
    enter = RunRegistry.enter

    def entered(registry: RunRegistry, run: ActiveRun, life: Coroutine[Any, Any, None]) -> None:
        enter(registry, run, life)
        then(run)

    monkeypatch.setattr(RunRegistry, "enter", entered)


@pytest.mark.requirement("runs:cancel-takes")
@pytest.mark.parametrize("how", ["in the background", "waited for"])
async def test_a_run_that_is_cancelled_before_its_first_step_ends_and_gives_its_slot_back(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with monkeypatch.context() as patched:
        entering(patched, lambda run: run.cancel("it was asked to"))
        if how == "in the background":
            run_id = await start(runtime, work, "x", seconds=600)
            assert (await finished(runtime, run_id)).status == "cancelled"
        else:
            with pytest.raises(RunCancelled):
                await runtime.runs.execute(request(work, {"name": "x", "seconds": 600}))
    await cancel(runtime, *await fill(runtime, work))  # every slot is there


@pytest.mark.requirement("runs:cancel-takes")
async def test_a_cancel_that_something_swallows_is_made_again(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `wait_for` of Python 3.11 does where a cancellation and the result come together."""
    take, taking = SandboxAllocator.take, asyncio.Event()

    async def deaf(*asked: Any) -> Lease:
        taking.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await take(*asked)

    monkeypatch.setattr(SandboxAllocator, "take", deaf)
    monkeypatch.setattr(breaking, "CANCEL_AGAIN", 0.2)
    run_id = await start(runtime, work, "x", seconds=600)
    await taking.wait()
    await cancel(runtime, run_id)


@pytest.mark.requirement("runs:cancel-takes")
async def test_what_was_cancelled_on_its_way_from_the_line_is_not_begun(
    runtime: Runtime, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked may have died before the run came to a process; the record has it."""

    def never(*_: Any, **__: Any) -> bool:
        return False

    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    with monkeypatch.context() as patched:
        patched.setattr(container.dispatcher.background.mode, "claim", never)
        patched.setattr(container.dispatcher.background._queue, "_execute", in_vain := Recorder())  # pyright: ignore[reportPrivateUsage]
        run_id = await start(runtime, work, "x", seconds=600)
        await in_vain.called.wait()
        assert await container.database.write(lambda c: executors.request_cancel(c, run_id))
    await container.dispatcher.background.execute(run_id)
    run = await runtime.runs.get(ADMIN, run_id)
    assert (run.status, run.attempts) == ("cancelled", [])


class Recorder:
    """Is given what the line hands out, and does nothing with it."""

    def __init__(self) -> None:
        self.called = asyncio.Event()

    async def __call__(self, run_id: str) -> None:
        self.called.set()


class RolledBack(Exception):
    """Nothing of what was written stays."""


@pytest.mark.requirement("runs:keeps-place")
async def test_a_run_that_is_taken_over_goes_to_the_head_of_its_priority_and_not_behind_what_came_later(
    runtime: Runtime,
) -> None:
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    await container.dispatcher.background.open_queue()
    queue = container.dispatcher.background._queue  # pyright: ignore[reportPrivateUsage]
    order: list[str] = []

    def put_and_look(connection: Connection) -> None:
        puts = [
            ("urgent", 1, 10),
            ("a", 1, 50),
            ("b", 1, 50),
            ("over", 2, 50),
            ("over twice", 3, 50),
            ("idle", 5, 90),
        ]
        for name, delivery, priority in puts:
            queue.put(connection, name, delivery, partition="of the test", priority=priority, delay=0)
        table = "dbos.workflow_status" if container.database.shared else "workflow_status"
        query = f"SELECT workflow_uuid FROM {table} WHERE queue_partition_key = 'of the test'"
        found = connection.execute(text(f"{query} ORDER BY priority, created_at, workflow_uuid")).scalars()
        order.extend(str(one).partition("/")[0] for one in found)
        raise RolledBack

    with pytest.raises(RolledBack):
        await container.database.write(put_and_look)
    assert (order[0], set(order[1:3]), set(order[3:5]), order[5:]) == (
        "urgent", {"over", "over twice"}, {"a", "b"}, ["idle"]
    )  # fmt: skip
