"""Ends of waits: answers of people and requests to addresses. The run goes on by `suspended_runs.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, InvalidInput, NotFound
from codewords_mcp.runtime.model.answer_form import fill
from codewords_mcp.runtime.model.run_wait import PersonAnswer, RunWait
from codewords_mcp.runtime.model.webhook import Arrival, WebhookResponse
from codewords_mcp.runtime.runs import webhook_waits
from codewords_mcp.runtime.runs.suspended_runs import SuspendedRuns, WaitChanges
from codewords_mcp.runtime.store import question_messages, workflows
from codewords_mcp.runtime.store import run_waits as rows
from codewords_mcp.runtime.store.clock import to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock

LIMIT: Final = 200
"""Questions in a list."""
OwnSecret = Callable[[str, str], Awaitable[str | None]]


class WaitAnswers:
    """Open questions and addresses of runs, and what answers them."""

    def __init__(self, database: Database, suspended: SuspendedRuns) -> None:
        self._db = database
        self._suspended = suspended

    async def answer(self, owner: str, wait_id: str, reply: PersonAnswer) -> RunWait:
        """Take the answer of a person; the run goes on. Returns the answered question.

        Raises NotFound, InvalidInput for an answer that was not asked for, Conflict where it comes too late.
        """
        return await self._suspended.change(
            lambda connection: self._answer(connection, owner, wait_id, reply)
        )

    def _answer(
        self, connection: Connection, owner: str, wait_id: str, reply: PersonAnswer
    ) -> tuple[RunWait, WaitChanges]:
        found = rows.get(connection, wait_id)
        if found is None or found.owner != owner or found.kind != "question":
            raise NotFound("There is no such question of yours.")

        run = rows.lock_run(connection, found.run_id)
        # Read again under the lock: the first read only told which run to lock.
        wait = rows.get(connection, wait_id) or found
        _require_open(wait, run)
        if wait.due_at <= to_datetime(clock(connection)):
            raise _too_late(wait)
        if workflows.get(connection, wait.service_id) is None:
            raise Conflict("The workflow that asked this was deleted, so no answer counts any more.")
        if reply.answer not in wait.question["options"]:
            raise InvalidInput(
                "This answer is none of the question's options.", hint="GET /questions/{token} lists them."
            )

        answer = {"answer": reply.answer, "fields": fill(wait.question["fields"], reply.fields)}
        if not rows.close(connection, wait_id, "answered", answer, by=reply.by or owner, source=reply.source):
            raise Conflict("This question was answered in the meantime; the first answer counts.")
        answered = rows.get(connection, wait_id) or wait
        return answered, WaitChanges([answered], self._suspended.claim(connection, run))

    async def receive(self, arrival: Arrival, own_secret: OwnSecret) -> WebhookResponse | None:
        """Give a request to the run whose address it came to, once; None for an address of another kind.

        `own_secret(owner, name)` gives the secret that signs it. Raises Unauthenticated for an invalid signature, NotFound;
        Conflict where another request was first or the run waits no longer.
        """
        if not arrival.endpoint.startswith(webhook_waits.PREFIX) or arrival.method != "POST":
            return None
        wait = await self._db.read(rows.get, arrival.endpoint)
        if wait is None:
            return None
        if wait.question["signed_as"] is not None:
            secret = await own_secret(wait.owner, wait.question["secret"])
            webhook_waits.verify(wait, secret, arrival)

        content = webhook_waits.content_of(arrival)

        def take(connection: Connection) -> tuple[bool, WaitChanges]:
            answered, run, is_repeated = webhook_waits.take(connection, arrival.endpoint, content)
            # A run that does not wait for its address yet, but for something else, stays suspended.
            return is_repeated, WaitChanges([answered], self._suspended.claim(connection, run))

        is_repeated = await self._suspended.change(take)
        return WebhookResponse({"ok": True, "repeated": is_repeated})

    async def open_address(self, run_id: str) -> RunWait | None:
        """The address that a run waits for a request to; None if it waits for none."""
        return await self._db.read(rows.open_address, run_id)

    async def open_questions(self, owner: str) -> list[RunWait]:
        """Questions to an owner, the newest first, at most `LIMIT`."""
        return await self._db.read(rows.open_questions, owner, LIMIT)

    async def find(self, owner: str, wait_id: str) -> RunWait:
        """A question to an owner, also one that is over. Raises NotFound."""
        wait = await self._db.read(rows.get, wait_id)
        if wait is None or wait.owner != owner or wait.kind != "question":
            raise NotFound("There is no such question of yours.")
        return wait

    async def peek(self, owner: str, wait_id: str) -> RunWait:
        """A question that waits. Raises NotFound, Conflict with the reason why it waits no longer."""
        wait = await self.find(owner, wait_id)
        _require_open(wait, await self._db.read(rows.run_of, wait.run_id))
        return wait

    async def of_run(self, run_id: str) -> list[RunWait]:
        """The questions of a run, the newest first."""
        return await self._db.read(rows.of_run, run_id, "question", LIMIT)

    async def sent_to(self, waits: Sequence[RunWait]) -> list[question_messages.SentTo]:
        """The people whom questions were sent to beside the inbox."""
        return await self._db.read(question_messages.of_waits, [wait.id for wait in waits])


def _require_open(wait: RunWait, run: rows.WaitingRun | None) -> None:
    """Raise Conflict, with who was first, for a question that waits no longer."""
    if wait.status == "answered" and wait.closed_by is not None:
        if wait.closed_at is None:
            at = ""
        else:
            at = f" at {wait.closed_at.isoformat(timespec='seconds')}"
        raise Conflict(f"{wait.closed_by} has answered this question already{at}; the first answer counts.")
    if wait.status in {"answered", "timed_out"}:
        raise _too_late(wait)
    if wait.status == "withdrawn" or run is None or run.is_over:
        raise Conflict("The run that asked this has ended, so no answer counts any more.")


def _too_late(wait: RunWait) -> Conflict:
    return Conflict(f"The deadline of this question was {wait.due_at.isoformat(timespec='seconds')}.")
