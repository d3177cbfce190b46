"""Sends questions to the people whom they name, and replaces what was sent when a question is over."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.alerts.message_loop import FIRST_PAUSE, LEASE, SEND_TIMEOUT, MessageLoop
from codewords_mcp.runtime.alerts.question_channels import QuestionChannels
from codewords_mcp.runtime.model.run_wait import RunWait
from codewords_mcp.runtime.runs.poll_loop import finish_all
from codewords_mcp.runtime.store import question_messages as rows
from codewords_mcp.runtime.store import run_waits, workflows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.question_messages import QuestionMessage

log = structlog.get_logger(__name__)


class OpenedQuestion(NamedTuple):
    """A question with the name of the workflow that asks it."""

    wait: RunWait
    workflow: str


class QuestionDelivery(MessageLoop[QuestionMessage]):
    """Sends what is due: messages of one owner by one channel in turn, those of others meanwhile."""

    def __init__(
        self, database: Database, channels: QuestionChannels, *, first_pause: float = FIRST_PAUSE
    ) -> None:
        super().__init__("messages of questions are not sent", database, first_pause)
        self._channels = channels

    def take(self, connection: Connection, at: int, until: int, limit: int) -> list[QuestionMessage]:
        """See `MessageLoop`."""
        return rows.take_due(connection, at, until, limit)

    def next_due(self, connection: Connection) -> int | None:
        """See `MessageLoop`."""
        return rows.next_due(connection)

    def make_due(self, connection: Connection, at: int) -> None:
        """See `MessageLoop`."""
        rows.make_due(connection, at)

    async def send_all(self, messages: list[QuestionMessage]) -> None:
        """See `MessageLoop`."""
        by_place: defaultdict[tuple[str, str], list[QuestionMessage]] = defaultdict(list)
        for message in messages:
            by_place[message.owner, message.channel].append(message)
        await finish_all(map(self._send_in_turn, by_place.values()))

    async def _send_in_turn(self, messages: list[QuestionMessage]) -> None:
        try:
            # What is left of the messages is due again when the lease ends.
            async with asyncio.timeout(LEASE - 2):
                for message in messages:
                    await self._send(message)
        except TimeoutError:
            log.info("questions left for the next turn", channel=messages[0].channel)
        except CodewordsError as error:
            log.warning("messages of questions not noted", reason=error.message)

    async def _send(self, message: QuestionMessage) -> None:
        found = await self._db.read(_read, message.wait_id)
        # It was answered, or its time is over, before it was sent.
        if found is None or (message.event == rows.OPENED and found.wait.status != "open"):
            await self._db.write(rows.postpone, message.id, None, message.tries, "")
            return

        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                if message.event == rows.OPENED:
                    reference = await self._channels.send(message, found.wait, found.workflow)
                else:
                    reference = message.reference
                    await self._channels.replace(message, found.wait, found.workflow)
        except (CodewordsError, TimeoutError) as error:
            if isinstance(error, CodewordsError):
                problem = error.message
            else:
                problem = "It did not answer in time."
            await self._fail(message, problem)
            return
        await self._db.write(rows.settle, message, reference, now())

    async def _fail(self, message: QuestionMessage, problem: str) -> None:
        tries = message.tries + 1
        log.warning("question not sent", channel=message.channel, tries=tries, reason=problem)
        await self._db.write(rows.postpone, message.id, self.next_try(tries), tries, problem)


def _read(connection: Connection, wait_id: str) -> OpenedQuestion | None:
    wait = run_waits.get(connection, wait_id)
    if wait is None:
        return None
    workflow = workflows.get(connection, wait.service_id)
    return OpenedQuestion(wait, wait.service_id if workflow is None else workflow.name)
