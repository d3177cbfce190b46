"""Questions that wait for a person's answer, and what may go on with it, once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final, Literal

from codewords_mcp.errors import ConsentNeeded, Forbidden, NotFound
from codewords_mcp.runtime.auth.one_time_links import Links, require_own
from codewords_mcp.runtime.auth.questions import OpenQuestion, Question, Wording
from codewords_mcp.runtime.model.workflow import Consent

Answer = Literal["agreed", "declined"]
LOOK_AGAIN: Final = 0.5
"""Seconds between two looks for an answer that was given on another runtime."""


class Consents:
    """Questions that wait for their answer behind one-time links, on whichever runtime of the database. They live 10 minutes."""

    def __init__(self, links: Links, url_of: Callable[[str], str], *, unattended: bool) -> None:
        self._links = links
        self._url_of = url_of
        self._unattended = unattended
        self._news = asyncio.Event()
        """Set, and replaced, when something is answered here."""

    async def settle(self, ask: Question, consent: Consent) -> None:
        """Return where the deploy may go on; what was agreed is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden where a person has said no to it.
        """
        if not ask.lines or consent.allow:
            return

        if consent.asker:
            ask = ask.asked_by(consent.asker)
        if consent.confirm:
            link = await self._links.find(consent.confirm)
        else:
            link = None

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

    async def peek(self, owner: str, token: str) -> OpenQuestion:
        """How it is put, and what is asked. Raises NotFound where the question was answered, has expired, or never was;
        Forbidden where it is another owner's.
        """
        link = await self._links.find(token)
        require_own(link, owner)
        if link is None or link.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, or has expired.",
                hint="Do it again; what is still to be agreed is asked anew.",
            )

        rows = [(str(kind), [str(one) for one in items]) for kind, items in link.data["rows"]]
        return OpenQuestion(Wording(**link.data["wording"]), rows, str(link.data.get("diff", "")))

    async def answer(self, owner: str, token: str, *, agreed: bool) -> None:
        """The owner's answer. The first one counts; to a question that is none it is nothing. Raises Forbidden."""
        require_own(await self._links.find(token), owner)
        if await self._links.answer(token, "agreed" if agreed else "declined"):
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def wait(self, owner: str, token: str, seconds: float) -> Answer | None:
        """The answer, once it is given, on this runtime or another; None where it is not within these seconds, or the question
        is none.
        """
        until = time.monotonic() + seconds
        while not self._unattended:
            news = self._news
            link = await self._links.find(token)
            if link is None or link.owner != owner:
                return None
            if link.answer is not None:
                if link.answer == "agreed":
                    return "agreed"
                return "declined"
            if (left := until - time.monotonic()) <= 0:
                return None

            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_AGAIN)):
                    await news.wait()

        return None

    def _needed(self, ask: Question, token: str) -> ConsentNeeded:
        url, wording = self._url_of(token), ask.wording
        return ConsentNeeded(
            wording.message,
            question=_put(wording),
            asks=ask.lines,
            confirm=token,
            url=url,
            hint=wording.hint.format(url=url),
        )


def _put(wording: Wording) -> str:
    """As a form asks it."""
    return wording.title + (f"\nAsked by {wording.asker}." if wording.asker else "")


def _told(ask: Question) -> dict[str, Any]:
    return {"wording": asdict(ask.wording), "rows": ask.rows, "diff": ask.diff}
