"""Questions to a person: may this version do what it asks for? Each is about exactly one difference."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.manifest import Grant, described
from codewords_mcp.runtime.models import Consent
from codewords_mcp.runtime.secrets.links import Links

Answer = Literal["agreed", "declined"]
LOOK_AGAIN: Final = 0.5
"""Seconds between two looks for an answer that was given on another runtime."""
_TO_DEPLOY = (
    "Open {url} in a browser and agree, then deploy again. "
    '`codewords deploy --allow`, or "allow": true, agrees where nobody is there to ask.'
)
_TO_DELETE = "Open {url} in a browser and agree, then delete again."
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
class DeleteAsk:
    """A workflow is to be deleted, with so many versions. `live` is the one that serves."""

    owner: str
    name: str
    service_id: str
    live: int | None
    versions: int

    @property
    def lines(self) -> list[str]:
        """What goes."""
        return [f"{kind}: {', '.join(items)}" for kind, items in self.rows]

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """What goes."""
        what = f"{self.versions} version{'s' if self.versions > 1 else ''} and its schedules and webhooks, for good"
        return [("deletes", [f"{self.name}: {what}"])]

    @property
    def digest(self) -> str:
        """Equal for the same versions of the same workflow only."""
        asked = repr((self.owner, "delete", self.service_id, self.live, self.versions))
        return hashlib.sha256(asked.encode()).hexdigest()

    @property
    def wording(self) -> Wording:
        """As a deletion puts it."""
        return Wording(
            message="Nothing was deleted: a person has to agree to that.",
            hint=_TO_DELETE,
            title=f"Delete the workflow {self.name}?",
            about="This goes; its runs stay on record",
            agreed=f"{self.name} can be deleted. Deleting again carries it out.",
            declined="A person declined; nothing was deleted.",
        )


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


class Consents:
    """Questions that wait for their answer behind one-time links, on whichever runtime of the database. They live 10 minutes."""

    def __init__(self, links: Links, url_of: Callable[[str], str], *, unattended: bool) -> None:
        self._links = links
        self._url_of = url_of
        self._unattended = unattended
        self._news = asyncio.Event()
        """Set, and replaced, when something is answered here."""

    async def settle(self, ask: Asked, consent: Consent) -> None:
        """Return where the deploy may go on; what was agreed is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden where a person has said no to it.
        """
        if not ask.lines or consent.allow:
            return
        link = await self._links.find(consent.confirm) if consent.confirm else None
        if link is None or (link.owner, link.subject) != (ask.owner, ask.digest):
            link = await self._links.about(ask.owner, ask.digest)
        if link is None:
            raise self._needed(ask, await self._links.create(ask.owner, ask.digest, _told(ask)))
        confirms = consent.confirm == link.token and (consent.by_person or self._unattended)
        if link.answer is None and not confirms:
            raise self._needed(ask, link.token)
        if not await self._links.spend(link):  # by another deploy of the same, at the same moment
            raise self._needed(ask, await self._links.create(ask.owner, ask.digest, _told(ask)))
        if link.answer == "declined":
            raise Forbidden(ask.wording.declined, hint="Ask for less, or ask the person what they want.")

    async def peek(self, token: str) -> tuple[Wording, list[tuple[str, list[str]]]]:
        """How it is put, and what is asked. Raises NotFound where the question was answered, has expired, or never was."""
        link = await self._links.find(token)
        if link is None or link.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, or has expired.",
                hint="Do it again; what is still to be agreed is asked anew.",
            )
        rows = [(str(kind), [str(one) for one in items]) for kind, items in link.data["rows"]]
        return Wording(**link.data["wording"]), rows

    async def answer(self, token: str, *, agreed: bool) -> None:
        """A person's answer. The first one counts; to a question that is none it is nothing."""
        if await self._links.answer(token, "agreed" if agreed else "declined"):
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def wait(self, token: str, seconds: float) -> Answer | None:
        """The answer, once it is given, on this runtime or another; None where it is not within these seconds, or the question
        is none.
        """
        until = time.monotonic() + seconds
        while not self._unattended:
            news = self._news
            link = await self._links.find(token)
            if link is None:
                return None
            if link.answer is not None:
                return "agreed" if link.answer == "agreed" else "declined"
            if (left := until - time.monotonic()) <= 0:
                return None
            with suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), min(left, LOOK_AGAIN))
        return None

    def _needed(self, ask: Asked, token: str) -> ConsentNeeded:
        url, wording = self._url_of(token), ask.wording
        return ConsentNeeded(
            wording.message, asks=ask.lines, confirm=token, url=url, hint=wording.hint.format(url=url)
        )


def _told(ask: Asked) -> dict[str, Any]:
    return {"wording": asdict(ask.wording), "rows": ask.rows}
