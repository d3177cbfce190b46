"""Runs that wait for a person or for a time: in their sandbox for some seconds, then without one.

::

    call of `approvals` or `wait` ──▶ row of the wait ──▶ over within the grace ─────────────▶ answer of the call
                                             │
                                             └─ longer: the attempt ends `suspended` (attempt_record.py)
                                                        the run is queued, with no executor, sandbox or slot

`wait_answers.py` has what ends a wait, `suspended_runs.py` how the run goes on.
docs/design/068-waiting-runs.md has the reasons.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import AttemptOver, CodewordsError, Conflict, InvalidInput
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import EventBus, WaitingPagesChanged
from codewords_mcp.runtime.model.recipients import Recipient
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.run_wait import NewWait, RunWait, WaitKind
from codewords_mcp.runtime.recording.recording_session import RecorderRegistry
from codewords_mcp.runtime.recording.resume import ResumeRecorder
from codewords_mcp.runtime.runs import webhook_waits
from codewords_mcp.runtime.runs.background import BackgroundRuns
from codewords_mcp.runtime.runs.context import RunDependencies
from codewords_mcp.runtime.runs.results import RunSuspended
from codewords_mcp.runtime.runs.suspended_runs import SuspendedRuns
from codewords_mcp.runtime.runs.wait_answers import WaitAnswers
from codewords_mcp.runtime.store import question_messages, runs
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store.clock import to_datetime, to_micros
from codewords_mcp.runtime.store.executors import clock

LOOK: Final = 1.0
"""Seconds between looks at a wait of which no news comes."""
CALLER_SHARE: Final = 0.75
"""Share of the time of a run with a waiting caller that it may wait for a person."""
_WAITED_FOR: Final[dict[WaitKind, str]] = {
    "question": "a person's answer", "time": "its time", "webhook": "a request to its address",
    "run": "a run that it called",
}  # fmt: skip
_STILL_WAITS: Final[dict[WaitKind, str]] = {
    "question": "a person has not answered its question",
    "time": "it waits for a time",
    "webhook": "it waits for a request to its address",
    "run": "it waits for a run that it called",
}
_NO_JOURNAL: Final = "It keeps its sandbox meanwhile, since it has no journal by which it could go on later."
log = structlog.get_logger(__name__)

CheckRecipients = Callable[[str, Sequence[Recipient]], Awaitable[None]]
"""`check(owner, recipients)` raises MissingCredential for a channel that is not connected."""


class RunWaits:
    """Calls of runs that wait. `suspended` goes on with their runs, `answers` ends their waits."""

    def __init__(
        self, context: RunDependencies, recorders: RecorderRegistry, bus: EventBus, *, grace: float
    ) -> None:
        self._context = context
        self._db = context.database
        self._recorders = recorders
        self._bus = bus
        self._grace = grace
        self.suspended = SuspendedRuns(context, bus)
        self.answers = WaitAnswers(context.database, self.suspended)
        self._check: CheckRecipients | None = None
        self._asking: set[str] = set()
        self._suspending: set[str] = set()
        self._calls: dict[str, set[str]] = {}
        """Keys of calls that wait for runs without a sandbox, by the calling run."""
        self._called: set[str] = set()
        """Runs that others here wait for."""
        self._draining = asyncio.Event()

    def join(self, background: BackgroundRuns, check: CheckRecipients) -> None:
        """Go on with runs by `background`. `check` refuses recipients that a question cannot be sent to."""
        self.suspended.join(background)
        self._check = check

    def drain(self) -> None:
        """Let runs that wait give their sandboxes back now. Idempotent."""
        self._draining.set()

    async def wait(self, caller: Caller, repeat_key: str | None, new: NewWait) -> RunWait:
        """See `Waits`."""
        run_id = _require_run(caller)
        resumable, new = self._recorder(run_id) is not None, self._scrubbed(run_id, new)
        key = _key(repeat_key)
        await self._require_channels(caller.owner, run_id, key, new)
        wait, is_new = await self._db.write(self._begin, caller.owner, run_id, key, new, resumable)
        if wait.kind == "question" and not wait.is_over:
            self._asking.add(run_id)
        if is_new:
            self._note(run_id, wait, resumable=resumable)
            self.suspended.changed(wait)
            self.suspended.wake()

        # A resumed attempt finds its answer at once, and its person waits for what it does next.
        if wait.is_over:
            over = wait
        else:
            over = await self._until_over(run_id, wait.id, resumable=resumable)
        if run_id not in self._suspending:
            # The answer of a call that is broken off does not reach the program.
            self._answering(run_id, repeat_key)
            self._db.write_with_retries(rows.take, over.id)
        return over

    async def new_webhook(self, caller: Caller, repeat_key: str | None, question: dict[str, Any]) -> RunWait:
        """See `Waits`."""
        run_id = _require_run(caller)
        return await self._db.write(webhook_waits.make, caller.owner, run_id, _key(repeat_key), question)

    async def _require_channels(self, owner: str, run_id: str, key: str, new: NewWait) -> None:
        """Raise MissingCredential for recipients that a question cannot be sent to."""
        if not new.recipients or self._check is None:
            return
        # One that was asked before is not refused for a channel that was disconnected since.
        if await self._db.read(rows.find, run_id, key) is None:
            await self._check(owner, new.recipients)

    def _scrubbed(self, run_id: str, new: NewWait) -> NewWait:
        """The wait without values of secrets: its text is stored and shown."""
        active = self._context.registry.active.get(run_id)
        if active is None or not active.scrubber:
            return new

        def clean(text: str) -> str:
            return scrubber.another().whole(text.encode()).decode(errors="replace")

        scrubber = active.scrubber
        question = new.question
        if "details" in question:
            question = question | {"details": clean(question["details"])}
        return replace(new, title=clean(new.title), question=question)

    def _begin(
        self, connection: Connection, owner: str, run_id: str, key: str, new: NewWait, resumable: bool
    ) -> tuple[RunWait, bool]:
        """The wait of a call, and whether it is new."""
        if new.kind == "webhook":
            return webhook_waits.begin(connection, run_id, new, resumable=resumable)
        rows.lock_run(connection, run_id)
        if found := rows.find(connection, run_id, key):
            return found, False

        run = runs.get(connection, run_id)
        if run is None or run.status in FINISHED:
            raise AttemptOver
        at = to_datetime(clock(connection))
        wait = RunWait(
            id=f"ask_{uuid.uuid4().hex}",
            kind=new.kind,
            owner=owner,
            run_id=run_id,
            service_id=run.service_id or "",
            title=new.title,
            question=new.question,
            created_at=at,
            due_at=at + timedelta(seconds=new.seconds),
            status="open",
        )
        rows.add(connection, wait, key, resumable=resumable, due_at=to_micros(wait.due_at))
        question_messages.add(connection, owner, wait.id, new.recipients)
        return wait, True

    def _note(self, run_id: str, wait: RunWait, *, resumable: bool) -> None:
        run_log = self._context.journal.live(run_id)
        if run_log is not None:
            due = wait.due_at.isoformat(timespec="seconds")
            what = _WAITED_FOR[wait.kind]
            note = "" if resumable else f" {_NO_JOURNAL}"
            run_log.write_platform_line(f"The run waits for {what}, until {due} at the latest.{note}")

    async def _until_over(self, run_id: str, wait_id: str, *, resumable: bool) -> RunWait:
        began, limit = time.monotonic(), self._limit(run_id, resumable=resumable)
        while True:
            # Subscribed before the read, so that an answer between the two is not missed.
            with self._context.events.subscribe(run_id) as changed:
                wait = await self._db.read(rows.get, wait_id)
                if wait is None or wait.status == "withdrawn":
                    raise AttemptOver
                if wait.status != "open":
                    return wait

                waited = time.monotonic() - began
                if waited >= limit or (resumable and self._draining.is_set()):
                    await self._give_up(run_id, wait, resumable=resumable)
                await self._news(changed, max(min(LOOK, limit - waited), 0.02))

    async def _news(self, changed: asyncio.Event, seconds: float) -> None:
        """Wait for a change of the run, or for the drain."""
        events = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self._draining.wait())]
        try:
            if self._draining.is_set():
                # An event that stays set would end each wait at once, and the loop of the caller would spin.
                events.pop().cancel()
            await asyncio.wait(events, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for event in events:
                event.cancel()

    def _limit(self, run_id: str, *, resumable: bool) -> float:
        """Seconds that a run may wait within its sandbox."""
        if resumable:
            return self._grace
        active = self._context.registry.active.get(run_id)
        if active is not None and active.request.background:
            return float("inf")
        return self._context.settings.sync_timeout * CALLER_SHARE

    async def _give_up(self, run_id: str, wait: RunWait, *, resumable: bool) -> None:
        """End the attempt: it goes on later, or its caller is told that it may not wait so long."""
        active = self._context.registry.active.get(run_id)
        if active is None:
            return
        if resumable:
            self._suspend(run_id, "answer" if wait.kind == "question" else "wait")
            return

        # On record before the run ends: an answer that comes now has to be refused.
        await self._db.write(rows.close, wait.id, "withdrawn", None)
        self.suspended.changed(wait)
        what = _STILL_WAITS[wait.kind]
        error = Conflict(
            f"The run {run_id} was ended, since {what} while its caller waited.",
            hint="In the background it waits for days.",
            remedy=Remedy(RemedyAction.RUN_IN_BACKGROUND),
        )
        active.fail(error)
        raise error

    def can_suspend(self, run_id: str) -> bool:
        """True if this run goes on here and can give its sandbox back."""
        return self._recorder(run_id) is not None

    def wait_for_run(self, run_id: str, called_id: str, key: str) -> None:
        """A call of a run, by its key, waits for a run without a sandbox, as its row says: end the attempt if nothing else is on
        its way.
        """
        self._called.add(called_id)
        self._calls.setdefault(run_id, set()).add(key)
        self._suspend(run_id, "wait")

    def stop_waiting(self, run_id: str, called_id: str, key: str) -> None:
        """The run that a call waits for goes on, or has ended."""
        self._called.discard(called_id)
        self._calls.get(run_id, set()).discard(key)

    def _answering(self, run_id: str, repeat_key: str | None) -> None:
        """A call is about to be answered: its attempt is not suspended before the program has the answer."""
        if repeat_key is not None and (recorder := self._recorder(run_id)) is not None:
            recorder.expect_answer(repeat_key)

    def is_suspending(self, run_id: str) -> bool:
        """True if the attempt of a run here ends now, since the run waits."""
        return run_id in self._suspending

    def hangs_up(self, run_id: str) -> bool:
        """True if a run that breaks its calls off does not come back to them."""
        return run_id in self._context.registry.active and run_id not in self._suspending

    def _suspend(self, run_id: str, waits_for: str) -> None:
        """End the attempt of a run, unless its program does other things meanwhile."""
        active, recorder = self._context.registry.active.get(run_id), self._recorder(run_id)
        if active is not None and recorder is not None and recorder.suspend(self._calls.get(run_id, set())):
            self._suspending.add(run_id)
            active.fail(RunSuspended(waits_for))

    def _recorder(self, run_id: str) -> ResumeRecorder | None:
        """The recorder of a run that can be resumed; None for another."""
        session = self._recorders.of(run_id)
        if session is not None and isinstance(session.recorder, ResumeRecorder):
            return session.recorder
        return None

    def left(self, run_id: str) -> None:
        """A run is no longer active here: if it waits, look whether the wait was over before that was on record."""
        asking = run_id in self._asking
        self._asking.discard(run_id)
        self._calls.pop(run_id, None)
        if run_id in self._called:
            self._context.registry.spawn(self.suspended.close_ended_soon(run_id), name=f"callers of {run_id}")
        if run_id in self._suspending:
            self._suspending.discard(run_id)
            self._context.registry.spawn(self.suspended.wake_soon(run_id), name=f"wake {run_id}")
        elif asking:
            self._context.registry.spawn(self._withdraw(run_id), name=f"withdraw {run_id}")

    async def _withdraw(self, run_id: str) -> None:
        """End the questions of a run that ended while it asked, so that messages of them say so."""

        def withdraw(connection: Connection) -> bool:
            run = rows.lock_run(connection, run_id)
            return run is not None and run.is_over and rows.withdraw_of_run(connection, run_id)

        try:
            if await self._db.write(withdraw):
                self._bus.publish(WaitingPagesChanged())
        except CodewordsError as error:
            # An answer is refused for the run's end in any case.
            log.warning("questions of a run not withdrawn", run_id=run_id, reason=error.message)


def _require_run(caller: Caller) -> str:
    """The id of the calling run. Raises InvalidInput for another caller."""
    if caller.kind != "run" or caller.run_id is None:
        raise InvalidInput(
            "Only a running workflow can wait.", hint="Call this service from a workflow's code."
        )
    return caller.run_id


def _key(repeat_key: str | None) -> str:
    return hashlib.sha256((repeat_key or uuid.uuid4().hex).encode()).hexdigest()
