"""Questions to a person: may this version do what it asks for? Each is about exactly one difference."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.manifest import Grant, described
from codewords_mcp.runtime.models import Consent
from codewords_mcp.runtime.secrets.entry import SecretEntries

Answer = Literal["agreed", "declined"]
_HINT = (
    "Open {url} in a browser and agree, then deploy again. "
    '`codewords deploy --allow`, or "allow": true, agrees where nobody is there to ask.'
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a deploy asks for beyond what was agreed. `service_id` and `live` are None for a new workflow.

    `unknown_before`: the live version is of before there were manifests, so that nothing has been agreed yet.
    """

    owner: str
    name: str
    service_id: str | None
    live: int | None
    grants: tuple[Grant, ...]
    unknown_before: bool = False

    @property
    def deletes(self) -> bool:
        """Whether it is about deleting the workflow, not about deploying it."""
        return any(grant.kind == "delete" for grant in self.grants)

    @property
    def lines(self) -> list[str]:
        """Every single thing that is asked for."""
        return described(self.grants)

    @property
    def digest(self) -> str:
        """Equal for the same difference of the same workflow only."""
        # a new workflow is known by its name, an old one by its id
        subject = self.service_id or f"new {self.name}"
        asked = repr((self.owner, subject, self.live, sorted(self.grants)))
        return hashlib.sha256(asked.encode()).hexdigest()


@dataclass(slots=True)
class _Question:
    ask: Ask
    answer: Answer | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)


class Consents:
    """Questions that wait for their answer, in memory, behind the same one-time links as the entry of secrets.

    A link lives 10 minutes; a restart of the runtime ends them all. For one event loop.
    """

    def __init__(self, url_of: Callable[[str], str], *, unattended: bool) -> None:
        self._links = SecretEntries()
        self._url_of = url_of
        self._unattended = unattended
        self._questions: dict[str, _Question] = {}
        """By token."""

    def settle(self, ask: Ask, consent: Consent) -> None:
        """Return where the deploy may go on; what was agreed is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden where a person has said no to it.
        """
        if not ask.grants or consent.allow:
            return
        token = consent.confirm or self._asked_before(ask)
        question = self._find(token)
        if token and question and question.ask.digest == ask.digest:
            said_yes = question.answer == "agreed" or (
                consent.confirm and question.answer is None and (consent.by_person or self._unattended)
            )
            if said_yes:
                self._forget(token)
                return
            if question.answer == "declined":
                self._forget(token)
                if ask.deletes:
                    raise Forbidden("A person declined; nothing was deleted.")
                raise Forbidden(
                    "A person declined what this version asks for; nothing was deployed.",
                    hint="Change the code so that it asks for less, or ask the person what they want.",
                )
            raise self._needed(ask, token)
        raise self._needed(ask, self._new(ask))

    def peek(self, token: str) -> Ask:
        """What is asked. Raises NotFound where the question was answered, has expired, or never was."""
        question = self._find(token)
        if question is None or question.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, has expired, or the runtime was restarted.",
                hint="Deploy again; what is still to be agreed is asked anew.",
            )
        return question.ask

    def answer(self, token: str, *, agreed: bool) -> None:
        """A person's answer. The first one counts; to a question that is none it is nothing."""
        question = self._find(token)
        if question is not None and question.answer is None:
            question.answer = "agreed" if agreed else "declined"
            question.answered.set()

    async def wait(self, token: str, seconds: float) -> Answer | None:
        """The answer, once it is given; None where it is not within these seconds, or the question is none."""
        question = self._find(token)
        if question is None or self._unattended:
            return None
        with suppress(TimeoutError):
            await asyncio.wait_for(question.answered.wait(), seconds)
        return question.answer

    def _needed(self, ask: Ask, token: str) -> ConsentNeeded:
        url = self._url_of(token)
        if ask.deletes:
            message = "Nothing was deleted: a person has to agree to that."
            hint = f"Open {url} in a browser and agree, then delete again."
            return ConsentNeeded(message, asks=ask.lines, confirm=token, url=url, hint=hint)
        if ask.live is None:
            message = "This workflow was not deployed: a person has to agree to what it may do."
        else:
            why = (
                "its versions so far were deployed without a manifest, so nothing has been agreed yet"
                if ask.unknown_before
                else "it asks for more than was agreed"
            )
            message = f"This version was not deployed: {why}. Version {ask.live} goes on serving."
        return ConsentNeeded(message, asks=ask.lines, confirm=token, url=url, hint=_HINT.format(url=url))

    def _new(self, ask: Ask) -> str:
        token = self._links.create(ask.owner, ask.digest)
        self._questions = {one: question for one, question in self._questions.items() if self._lives(one)}
        self._questions[token] = _Question(ask)
        return token

    def _asked_before(self, ask: Ask) -> str | None:
        """The token of the same question, where it still lives: asking twice opens no second page."""
        return next(
            (
                token
                for token, question in self._questions.items()
                if question.ask.digest == ask.digest and self._lives(token)
            ),
            None,
        )

    def _find(self, token: str | None) -> _Question | None:
        return self._questions.get(token) if token and self._lives(token) else None

    def _lives(self, token: str) -> bool:
        try:
            self._links.peek(token)
        except NotFound:
            return False
        return True

    def _forget(self, token: str) -> None:
        self._links.redeem(token)
        del self._questions[token]
