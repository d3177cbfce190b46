"""Questions to a person: may this version do what it asks for? Each is about exactly one difference."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.manifest import Grant, described
from codewords_mcp.runtime.models import Consent
from codewords_mcp.runtime.secrets.links import Links

Answer = Literal["agreed", "declined"]
LOOK_AGAIN: Final = 0.5
"""Seconds between two looks for an answer that was given on another runtime."""
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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person is shown: the workflow's name, its live version, and every single thing that is asked for."""

    name: str
    live: int | None
    lines: list[str]


class Consents:
    """Questions that wait for their answer behind one-time links, on whichever runtime of the database. They live 10 minutes."""

    def __init__(self, links: Links, url_of: Callable[[str], str], *, unattended: bool) -> None:
        self._links = links
        self._url_of = url_of
        self._unattended = unattended
        self._news = asyncio.Event()
        """Set, and replaced, when something is answered here."""

    async def settle(self, ask: Ask, consent: Consent) -> None:
        """Return where the deploy may go on; what was agreed is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden where a person has said no to it.
        """
        if not ask.grants or consent.allow:
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
            if ask.deletes:
                raise Forbidden("A person declined; nothing was deleted.")
            raise Forbidden(
                "A person declined what this version asks for; nothing was deployed.",
                hint="Change the code so that it asks for less, or ask the person what they want.",
            )

    async def peek(self, token: str) -> Asked:
        """What is asked. Raises NotFound where the question was answered, has expired, or never was."""
        link = await self._links.find(token)
        if link is None or link.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, or has expired.",
                hint="Deploy again; what is still to be agreed is asked anew.",
            )
        return Asked(**link.data)

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


def _told(ask: Ask) -> dict[str, Any]:
    return {"name": ask.name, "live": ask.live, "lines": ask.lines}
