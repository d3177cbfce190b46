"""Questions to a person: may this version do what it asks for? Each is about exactly one difference."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.manifest import Grant, described
from codewords_mcp.runtime.models import Consent
from codewords_mcp.runtime.secrets.entry import SecretEntries

Answer = Literal["agreed", "declined"]
_TO_DEPLOY = (
    "Open {url} in a browser and agree, then deploy again. "
    '`codewords deploy --allow`, or "allow": true, agrees where nobody is there to ask.'
)
_TO_CALL = "Open {url} in a browser and agree, then make the same call again."


@dataclass(frozen=True, slots=True)
class Wording:
    """How a question is put: in a reply, on the page, and once it is answered."""

    message: str
    hint: str
    title: str
    about: str
    agreed: str
    declined: str


class Asked(Protocol):
    """What is asked about. Equal digests are the same question."""

    @property
    def owner(self) -> str:
        """Whose question it is."""
        ...

    @property
    def lines(self) -> list[str]:
        """Every single thing that is asked for, none where nothing is."""
        ...

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """The same for a page: what kind of thing, and each of it."""
        ...

    @property
    def digest(self) -> str:
        """Names exactly this question."""
        ...

    @property
    def wording(self) -> Wording:
        """How it is put."""
        ...


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
    def lines(self) -> list[str]:
        """Every single thing that is asked for."""
        return described(self.grants)

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Kinds, and their items."""
        return [(line[:12].strip(), line[12:].strip().split(", ")) for line in self.lines]

    @property
    def digest(self) -> str:
        """Equal for the same difference of the same workflow only."""
        # a new workflow is known by its name, an old one by its id
        subject = self.service_id or f"new {self.name}"
        asked = repr((self.owner, subject, self.live, sorted(self.grants)))
        return hashlib.sha256(asked.encode()).hexdigest()

    @property
    def wording(self) -> Wording:
        """As a deploy puts it."""
        return Wording(
            message=self._message,
            hint=_TO_DEPLOY,
            title=f"May the workflow {self.name} do this?",
            about="It asks for"
            if self.live is None
            else f"Version {self.live}, which is live now, may not do this. The new one asks for",
            agreed=f"{self.name} can be deployed with exactly that. Deploying again makes it live.",
            declined="A person declined what this version asks for; nothing was deployed.",
        )

    @property
    def _message(self) -> str:
        if self.live is None:
            return "This workflow was not deployed: a person has to agree to what it may do."
        why = (
            "its versions so far were deployed without a manifest, so nothing has been agreed yet"
            if self.unknown_before
            else "it asks for more than was agreed"
        )
        return f"This version was not deployed: {why}. Version {self.live} goes on serving."


@dataclass(frozen=True, slots=True)
class CallAsk:
    """One call of an integration's action that may change something. `of` is a digest of all that it is made with."""

    owner: str
    action: str
    shown: tuple[tuple[str, str], ...]
    """What it is given, by name."""
    of: str

    @property
    def lines(self) -> list[str]:
        """The action, and what it is given."""
        return [f"action: {self.action}", *(f"{name}: {value}" for name, value in self.shown)]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """Fields, and their values."""
        return [("action", [self.action]), *((name, [value]) for name, value in self.shown)]

    @property
    def digest(self) -> str:
        """Equal for the same call with the same fields only."""
        return hashlib.sha256(repr((self.owner, "call", self.of)).encode()).hexdigest()

    @property
    def wording(self) -> Wording:
        """As a call puts it."""
        return Wording(
            message=f"{self.action} was not run: it may change something, so a person has to agree first.",
            hint=_TO_CALL,
            title="May the assistant do this now, once?",
            about="It is about to do this",
            agreed="The call can be made with exactly that, once. Ask the assistant to go on.",
            declined=f"A person declined this call of {self.action}; nothing was run.",
        )


@dataclass(slots=True)
class _Question:
    ask: Asked
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

    def settle(self, ask: Asked, consent: Consent) -> None:
        """Return where the deploy may go on; what was agreed is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden where a person has said no to it.
        """
        if not ask.lines or consent.allow:
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
                raise Forbidden(ask.wording.declined, hint="Ask for less, or ask the person what they want.")
            raise self._needed(ask, token)
        raise self._needed(ask, self._new(ask))

    def peek(self, token: str) -> Asked:
        """What is asked. Raises NotFound where the question was answered, has expired, or never was."""
        question = self._find(token)
        if question is None or question.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, has expired, or the runtime was restarted.",
                hint="Do it again; what is still to be agreed is asked anew.",
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

    def _needed(self, ask: Asked, token: str) -> ConsentNeeded:
        url, wording = self._url_of(token), ask.wording
        return ConsentNeeded(
            wording.message, asks=ask.lines, confirm=token, url=url, hint=wording.hint.format(url=url)
        )

    def _new(self, ask: Asked) -> str:
        token = self._links.create(ask.owner, ask.digest)
        self._questions = {one: question for one, question in self._questions.items() if self._lives(one)}
        self._questions[token] = _Question(ask)
        return token

    def _asked_before(self, ask: Asked) -> str | None:
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
