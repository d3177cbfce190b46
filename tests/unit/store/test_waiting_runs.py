"""A run with two waits, under every order of kills, answers, deadlines, requests, suspensions and starts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection, select
from tests.support.databases import open_database

from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.run_columns import AttemptEntry, RunColumns
from codewords_mcp.runtime.model.run_state import (
    close_attempts,
    open_attempt,
    to_finished,
    to_suspended,
    to_waiting_in_queue,
)
from codewords_mcp.runtime.model.run_wait import NewWait, RunWait
from codewords_mcp.runtime.model.suspension import state_of
from codewords_mcp.runtime.runs import webhook_waits
from codewords_mcp.runtime.store import recovery, run_waits, runs
from codewords_mcp.runtime.store.clock import now, to_micros
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import run_waits as table
from codewords_mcp.runtime.store.tables import runs as run_table

RUN, ME = "the-run", "this process"
DEPTH = 8
"""Steps after the first question."""
HOOK = "hook_address"


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").migrated_url()
    opened = open_database(tmp_path, url)
    yield opened
    opened.close()


@dataclass
class Memory:
    """The things that a kill takes away: those of the process, and the program of its attempt."""

    lives: bool = True
    attempts: list[AttemptEntry] | None = None
    """Of the attempt that goes on here; None without one."""
    passed: list[str] = field(default_factory=list[str])
    asked: set[str] = field(default_factory=set[str])
    seen_open: set[str] = field(default_factory=set[str])
    """Waits that were open when they were asked for: the reasons to suspend the attempt."""
    answered: set[str] = field(default_factory=set[str])
    unwritten: set[str] = field(default_factory=set[str])
    """Waits whose `taken` is not written yet."""


@dataclass
class World:
    """The run in a transaction that is rolled back, and the memory of its process."""

    connection: Connection
    memory: Memory = field(default_factory=Memory)
    began: int = 0
    reasons: int = 1
    """Reasons for an attempt: the start of the run, ends of waits, and kills."""

    def row(self) -> RunColumns:
        query = select(run_table).where(run_table.c.id == RUN)
        return cast("RunColumns", self.connection.execute(query).mappings().one())

    def waits(self) -> dict[str, tuple[str, bool]]:
        query = select(table.c.id, table.c.status, table.c.taken).where(table.c.run_id == RUN)
        return {row.id: (row.status, row.taken) for row in self.connection.execute(query)}

    def key(self) -> object:
        """The state, but for times and the numbers of attempts."""
        row, memory = self.row(), self.memory
        shown = row.get("status"), row.get("executor"), row.get("waits_for"), row.get("in_queue")
        own = (
            memory.lives,
            memory.attempts is not None,
            *map(frozenset, (memory.passed, memory.asked, memory.seen_open)),
        )
        answers = frozenset(memory.answered), frozenset(memory.unwritten)
        return shown, own, answers, frozenset(self.waits().items()), self.reasons - self.began

    def begin(self) -> None:
        """Begin the next attempt: of a run that this process has claimed, or of one that is in no process."""
        row = self.row()
        if row.get("executor") is None:
            assert recovery.claim(self.connection, RUN, ME)
        self.memory.passed = run_waits.over(self.connection, RUN)
        earlier = row.get("attempts", [])
        assert all(one["ended_at"] for one in earlier), "two attempts at once"
        attempts = [*earlier, open_attempt(len(earlier) + 1, now())]
        values: RunColumns = {"status": "running", "waits_for": None, "attempts": attempts}
        assert runs.change(self.connection, RUN, values, only_from=("queued",), holder=ME)
        self.memory.attempts = attempts
        self.began += 1

    def ask(self, wait_id: str) -> None:
        """The program calls for a wait, or for the address that it has made."""
        self.flush()
        if wait_id == HOOK:
            new = NewWait("webhook", "", 600, {}, wait_id=HOOK)
            webhook_waits.begin(self.connection, RUN, new, resumable=True)
        elif wait_id not in self.waits():
            add(self.connection, wait_id, "question", "open")
        self.memory.asked.add(wait_id)
        if self.waits()[wait_id][0] == "open":
            self.memory.seen_open.add(wait_id)

    def flush(self) -> None:
        """Write that the answers are known, before anything else that the process writes."""
        for wait_id in sorted(self.memory.unwritten):
            run_waits.take(self.connection, wait_id)
        self.memory.unwritten.clear()

    def hear(self, wait_id: str) -> None:
        """The program gets the answer of its call."""
        self.memory.answered.add(wait_id)
        self.memory.unwritten.add(wait_id)

    def suspend(self) -> None:
        """Give the sandbox back, also where the answer comes at the same moment."""
        self.flush()
        attempts = self.memory.attempts or []
        values = to_suspended("answer", close_attempts(attempts, now(), "suspended"), 0)
        run_waits.suspend(self.connection, RUN, values, self.memory.passed, ME)
        self.memory = Memory()

    def close(self, wait_id: str) -> None:
        """A person answers, the deadline or a request comes."""
        # A request that comes before the run waits for it is no reason to resume the run.
        self.reasons += self.waits()[wait_id][0] == "open"
        run = run_waits.lock_run(self.connection, RUN)
        if wait_id == HOOK:
            webhook_waits.take(self.connection, HOOK, {"digest": "of it"})
        else:
            assert run_waits.close(self.connection, wait_id, "answered", {"answer": "yes"})
        assert run is not None
        run_waits.resume(self.connection, run, ME)

    def poll(self) -> None:
        """Look for suspended runs that nothing holds up."""
        found = run_waits.over_of_suspended(self.connection, 10)
        found += [run.id for run in run_waits.overdue(self.connection, now() + 1, 10)]
        for run_id in found:
            run = run_waits.lock_run(self.connection, run_id)
            assert run is not None
            assert run_waits.resume(self.connection, run, ME) or not run.is_suspended or len(found) == 2

    def kill(self) -> None:
        self.reasons += self.memory.attempts is not None
        self.memory = Memory(lives=False)

    def start(self) -> None:
        state = state_of(run_waits.facts(self.connection, RUN))
        recovery.abandon(self.connection)
        # Without retries, a run ends that was killed amid other work: it waited for nothing.
        assert self.row().get("status") != "interrupted" or state == "none"
        self.memory = Memory()

    def finish(self) -> None:
        self.flush()
        attempts = close_attempts(self.memory.attempts or [], now(), "succeeded")
        values = to_finished("succeeded", None, now(), attempts, release=True)
        assert runs.change(self.connection, RUN, values, holder=ME)
        self.memory = Memory()

    def moves(self) -> dict[str, Callable[[], None]]:
        """What may happen next."""
        row, memory, waits = self.row(), self.memory, self.waits()
        if row.get("status") in FINISHED:
            return {}
        if not memory.lives:
            return {"start": self.start}
        found: dict[str, Callable[[], None]] = {"kill": self.kill, "poll": self.poll}
        for wait_id, (status, _) in waits.items():
            if status == "open" or (status == "new" and wait_id == HOOK):
                found[f"end {wait_id}"] = lambda one=wait_id: self.close(one)

        if memory.attempts is None:
            is_free = row.get("executor") is None and row.get("waits_for") == "turn"
            if row.get("status") == "queued" and (is_free or row.get("executor") == ME):
                found["begin"] = self.begin
            return found

        for wait_id in ("ask_a", HOOK):
            if wait_id not in memory.asked:
                found[f"ask {wait_id}"] = lambda one=wait_id: self.ask(one)
            elif waits[wait_id][0] not in ("open", "new") and wait_id not in memory.answered:
                found[f"hear {wait_id}"] = lambda one=wait_id: self.hear(one)
        if memory.unwritten:
            found["flush"] = self.flush
        if memory.seen_open - memory.answered:
            found["suspend"] = self.suspend
        if len(memory.answered) == 2:
            found["finish"] = self.finish
        return found

    def complete(self) -> None:
        """Let everything happen that still can, without further kills: the run comes to its end."""
        order = ("finish", "flush", "hear", "ask", "begin", "start", "poll", "suspend", "end")
        for _ in range(30):
            if self.row().get("status") in FINISHED:
                return
            if self.memory.lives and self.memory.attempts is None:
                self.poll()
            moves = self.moves()
            moves.pop("poll", None)
            moves.pop("kill", None)
            move = min(moves, key=lambda name: order.index(name.split()[0]), default=None)
            assert move is not None, f"nothing goes on: {self.key()}"
            moves[move]()
        raise AssertionError(f"the run does not end: {self.key()}")


def add(connection: Connection, wait_id: str, kind: str, status: str) -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    wait = RunWait(wait_id, kind, "o", RUN, "w", "", {}, at, at, status)  # pyright: ignore[reportArgumentType]
    is_new = status == "new"
    run_waits.add(
        connection, wait, f"key of {wait_id}", resumable=not is_new, due_at=to_micros(at), taken=is_new
    )


def explore(world: World, depth: int, seen: dict[object, int], path: tuple[str, ...]) -> None:
    """Take every move from here, and each state once: the rows decide, not the way to them."""
    assert world.began <= world.reasons, f"resumed too often by {path}"
    state = world.key()
    if seen.get(state, -1) >= depth:
        return
    is_new = state not in seen
    seen[state] = depth

    if is_new:
        with world.connection.begin_nested() as before:
            copied = World(world.connection, copy.deepcopy(world.memory), world.began, world.reasons)
            try:
                copied.complete()
            except AssertionError as error:
                raise AssertionError(f"{error} after {path}") from error
            assert copied.began <= copied.reasons, f"resumed too often after {path}"
            before.rollback()

    if depth == 0:
        return
    for name in world.moves():
        with world.connection.begin_nested() as before:
            copied = World(world.connection, copy.deepcopy(world.memory), world.began, world.reasons)
            copied.moves()[name]()
            explore(copied, depth - 1, seen, (*path, name))
            before.rollback()


@pytest.mark.requirement("approvals:suspend", "approvals:webhook", "runs:crash-truth")
def test_in_every_order_of_kills_and_ends_a_run_goes_on_once_for_each(database: Database) -> None:
    seen: dict[object, int] = {}

    def play(connection: Connection) -> None:
        values: RunColumns = {"id": RUN, "owner": "o", "created_at": now(), "background": True}
        runs.add(connection, values | to_waiting_in_queue("turn", in_queue=False, not_before=None))
        add(connection, HOOK, "webhook", "new")
        world = World(connection)
        world.begin()
        explore(world, DEPTH, seen, ())

    database.write_blocking(play)
    assert len(seen) > 100


@pytest.mark.requirement("approvals:suspend")
def test_queries_find_the_runs_that_the_decision_resumes(database: Database) -> None:
    """Each value of the columns, in a suspended run of its own."""
    from codewords_mcp.runtime.model.suspension import ALL

    def fill(connection: Connection) -> None:
        for number, facts in enumerate(ALL):
            run_id = f"run-{number}"
            values: RunColumns = {"id": run_id, "owner": "o", "created_at": now(), "background": True}
            runs.add(connection, values | {"status": "queued", "waits_for": "wait"})
            at = datetime.now(UTC)
            wait = RunWait(f"w{number}", facts.kind, "o", run_id, "w", "", {}, at, at, facts.status)
            run_waits.add(
                connection, wait, "k", resumable=facts.resumable, due_at=now() + 10**9, taken=facts.taken
            )

    database.write_blocking(fill)
    expected = {f"run-{number}": state_of([facts]) for number, facts in enumerate(ALL)}
    over = database.write_blocking(lambda c: run_waits.over_of_suspended(c, 1000))
    found = database.write_blocking(lambda c: run_waits.overdue(c, now(), 1000))
    without = [run.id for run in found]
    assert sorted(over) == sorted(run_id for run_id, state in expected.items() if state == "over")
    assert sorted(without) == sorted(run_id for run_id, state in expected.items() if state != "waiting")
