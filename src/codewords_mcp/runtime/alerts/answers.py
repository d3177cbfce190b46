"""Answers by who got a question: by a link of a mail or message, without a sign-in."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.alerts.question_tokens import QuestionTokens, read_token
from codewords_mcp.runtime.model.recipients import Recipient
from codewords_mcp.runtime.model.run_wait import ApprovalInfo, PersonAnswer, RunWait, SentQuestion
from codewords_mcp.runtime.runs.wait_answers import WaitAnswers
from codewords_mcp.runtime.store import question_messages, run_waits, workflows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.question_messages import QuestionMessage

LONGEST_NAME: Final = 64
"""Characters of the name of who answered, as the record keeps it."""
_BY: Final = {"email": "by e-mail to", "slack": "by Slack in", "whatsapp": "by WhatsApp to"}


class QuestionAnswers:
    """Takes answers by tokens. Each raises NotFound for a token that is none of ours, Conflict for one that is too late."""

    def __init__(self, database: Database, waits: WaitAnswers, tokens: QuestionTokens) -> None:
        self._db = database
        self._waits = waits
        self._tokens = tokens

    async def peek(self, token: str) -> SentQuestion:
        """The question of a token while it is open. Showing it answers nothing."""
        message, wait, workflow, option = await self._db.read(self._read, token)
        await self._waits.peek(message.owner, wait.id)
        return SentQuestion(
            ApprovalInfo.of(wait), workflow, Recipient(message.channel, message.target), option
        )

    async def answer(
        self, token: str, answer: str, fields: dict[str, Any], place: str, *, by: str | None = None
    ) -> RunWait:
        """Take the answer of who has a token; the question with it. `place` is a browser or a message.

        `by` names the person where more is known than whom it was sent to. Raises InvalidInput for fields that do not fit.
        """
        message, wait, _, option = await self._db.read(self._read, token)
        # A link in a message stands for one of the answers; a form could name another one.
        if option is not None and option != answer:
            raise InvalidInput(
                "This link is for another answer.", hint="Use the link of the one that you mean."
            )
        source = f"{_BY[message.channel]} {message.target} ({place})"
        person = short_name(by or message.target)
        return await self._waits.answer(message.owner, wait.id, PersonAnswer(answer, fields, source, person))

    async def message_of(self, token: str) -> tuple[QuestionMessage, str | None]:
        """(the message of a token, its option), also where it is too late to answer. Raises NotFound."""
        message, _, _, option = await self._db.read(self._read, token)
        return message, option

    def _read(self, connection: Connection, token: str) -> tuple[QuestionMessage, RunWait, str, str | None]:
        parts = read_token(token)
        if parts is None:
            message = None
        else:
            message = question_messages.get(connection, parts.message_id)
        if message is None:
            wait = None
        else:
            wait = run_waits.get(connection, message.wait_id)
        if parts is None or message is None or wait is None:
            raise _unknown()
        # The same error as for no message at all: a guess must not tell which messages exist.
        if not self._tokens.is_genuine(parts, message, wait):
            raise _unknown()
        workflow = workflows.get(connection, wait.service_id)
        if parts.option is None:
            option = None
        else:
            option = wait.question["options"][parts.option]
        return message, wait, wait.service_id if workflow is None else workflow.name, option


def short_name(text: str) -> str:
    """A name of who answered, at most `LONGEST_NAME` characters."""
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[: LONGEST_NAME - 1]}…"


def _unknown() -> NotFound:
    return NotFound(
        "No question has this link: it is not whole, or its run is no longer on record.",
        hint="Open it from the message once more, or ask who sent it.",
    )
