"""Questions that running workflows ask their owner, and the answers."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.runs import RunApi
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.plain_text import one_line, quoted
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_wait import (
    ApprovalInfo,
    NotifiedPerson,
    PersonAnswer,
    RunWait,
    SentQuestion,
)
from codewords_mcp.runtime.model.session import WaitingPage
from codewords_mcp.runtime.store.clock import optional_datetime

PREFIX = "ask_"
"""Begins the id of each question of a run; tokens of other questions have no `_` there."""
_TITLE = 100
_OFFERED = 1000


class ApprovalApi:
    """Questions of runs. Only a person answers: front doors vouch for that."""

    def __init__(self, container: Container, runs: RunApi) -> None:
        self._offered: dict[str, None] = {}
        self._waits = container.waits.answers
        self._answers = container.alerts.questions.answers
        self._runs = runs
        self._url_of = container.webhooks.url_of

    async def list(self, caller: Caller) -> list[ApprovalInfo]:
        """Open questions to the caller, the newest first, at most 200."""
        refuse_run(caller, "see questions to a person")
        return [ApprovalInfo.of(wait) for wait in await self._waits.open_questions(caller.owner)]

    async def of_run(self, caller: Caller, run_id: str) -> list[ApprovalInfo]:
        """The questions that a run asks or has asked, the newest first, with their answers. Raises NotFound."""
        run = await self._runs.get(caller, run_id)
        waits = await self._waits.of_run(run.id)
        notified: defaultdict[str, list[NotifiedPerson]] = defaultdict(list)
        for one in await self._waits.sent_to(waits):
            person = NotifiedPerson(
                channel=one.channel,
                target=one.target,
                sent_at=optional_datetime(one.sent_at),
                problem=one.problem,
            )
            notified[one.wait_id].append(person)
        return [ApprovalInfo.of(wait, notified[wait.id]) for wait in waits]

    async def address_of(self, run: Run) -> tuple[str, datetime] | None:
        """(the URL that a run waits for a request to, until when); None if it waits for none."""
        wait = await self._waits.open_address(run.id)
        if wait is None:
            return None
        return (self._url_of(wait.id), wait.due_at)

    def offer(self, question_id: str) -> bool:
        """Whether a question has not been put to a person in a form before, by this process: once is enough."""
        if question_id in self._offered:
            return False
        self._offered[question_id] = None
        if len(self._offered) > _OFFERED:
            del self._offered[next(iter(self._offered))]
        return True

    async def peek(self, caller: Caller, question_id: str) -> ApprovalInfo:
        """An open question. Raises NotFound; Conflict, with the reason, for one that no answer counts for."""
        refuse_run(caller, "see questions to a person")
        return ApprovalInfo.of(await self._waits.peek(caller.owner, question_id))

    async def answer(self, caller: Caller, question_id: str, reply: PersonAnswer) -> str:
        """Take a person's answer, and say what follows. The first one counts.

        Raises NotFound; InvalidInput for an answer that was not asked for; Conflict, with who was first, where it is too late.
        """
        refuse_run(caller, "answer a question to a person")
        wait = await self._waits.answer(caller.owner, question_id, reply)
        return f"{_capital(reply.answer)}: the run of {wait.service_id} goes on with this answer."

    async def peek_sent(self, token: str) -> SentQuestion:
        """The open question of a link that was sent to somebody. Raises NotFound; Conflict where it is too late."""
        return await self._answers.peek(token)

    async def answer_sent(self, token: str, answer: str, fields: dict[str, Any], place: str) -> str:
        """Take the answer of who has such a link, and say what follows. See `answer` for the errors."""
        wait = await self._answers.answer(token, answer, fields, place)
        return f"The run of {wait.service_id} goes on with this answer."


def to_page(wait: RunWait) -> WaitingPage:
    """An open question in the list of what waits."""
    return WaitingPage(
        kind="approval",
        title=quoted(wait.title, _TITLE),
        path=f"/approvals/{wait.id}",
        created_at=wait.created_at,
        expires_at=wait.due_at,
    )


def _capital(text: str) -> str:
    shown = one_line(text, 80)
    return shown[:1].upper() + shown[1:]
