"""Questions that wait for a person's answer. An answer is used once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final, Literal, cast

from codewords_mcp.errors import ConsentNeeded, Forbidden, InvalidInput, NotFound
from codewords_mcp.runtime.auth.one_time_links import Links, OneTimeLink, require_own
from codewords_mcp.runtime.model.code_difference import MOST_SHOWN
from codewords_mcp.runtime.model.questions import Matter, MatterKind, OpenQuestion, Question, Wording
from codewords_mcp.runtime.model.workflow import Consent, DeployChanges
from codewords_mcp.runtime.store.clock import to_datetime
from codewords_mcp.runtime.store.consent_entries import ConsentEntry, ConsentEvent, current_way

Answer = Literal["agreed", "declined"]
POLL_INTERVAL: Final = 0.5
"""Seconds between two polls for an answer from another runtime."""


class Consents:
    """Open questions behind one-time links, for all runtimes of the database. They live 10 minutes."""

    def __init__(self, links: Links, url_of: Callable[[str], str], *, unattended: bool) -> None:
        self._links = links
        self._url_of = url_of
        self._unattended = unattended
        self._answered = asyncio.Event()
        """Set, and replaced, when something is answered here."""

    async def settle(self, question: Question, consent: Consent) -> None:
        """Return if the operation may continue; the agreement is spent by that.

        Raises ConsentNeeded with a token for exactly this question, Forbidden if a person declined
        it, InvalidInput if it cannot be shown whole.
        """
        if not question.lines:
            return
        if consent.allow:
            # A question that waits for exactly this is answered by it.
            if consent.way:
                agreed = _entry_of("agreed", question, consent.way)
            else:
                agreed = None
            await self._links.close(question.owner, question.digest, agreed)
            return

        _refuse_unshown(question)
        if consent.asker:
            question = question.with_asker(consent.asker)
        if consent.confirm:
            link = await self._links.find(consent.confirm)
        else:
            link = None

        # A token for another question is no consent to this one. The question itself may have
        # been answered on its page, so it is looked up by its digest.
        if link is None or (link.owner, link.subject) != (question.owner, question.digest):
            link = await self._links.about(question.owner, question.digest)
        if link is None:
            raise self._needed(question, await self._ask(question))

        # The token alone proves nothing: a model gets it too. Somebody has to vouch for a
        # person.
        confirms = consent.confirm == link.token and (consent.by_person or self._unattended)
        if link.answer is None and not confirms:
            raise self._needed(question, link.token)
        # An answer has an entry already; a token that is an answer itself has one now.
        if link.answer is None:
            agreed = _entry_of("agreed", question, "token")
        else:
            agreed = None
        if not await self._links.spend(link, agreed):  # by another deploy of the same, at the same moment
            raise self._needed(question, await self._ask(question))
        if link.answer == "declined":
            raise Forbidden(question.wording.declined, hint="Ask for less, or ask the person what they want.")

    async def open(self, question: Question) -> tuple[str, str, Answer | None]:
        """Ask a question, or find it where it was asked before: its token, its page's address and its answer so far.

        An answer is not spent by that. Raises InvalidInput if it cannot be shown whole.
        """
        _refuse_unshown(question)
        link = await self._links.about(question.owner, question.digest)
        if link is None:
            token = await self._ask(question)
            return token, self._url_of(token), None
        return link.token, self._url_of(link.token), cast("Answer | None", link.answer)

    async def kind_of(self, token: str) -> MatterKind | None:
        """Return the kind of the question under a token; None without one."""
        link = await self._links.find(token)
        return link and _matter(link).kind

    async def peek(self, owner: str, token: str) -> OpenQuestion:
        """Return the open question of a token.

        Raises NotFound if it was answered, has expired or never existed; Forbidden for another
        owner's.
        """
        link = await self._links.find(token)
        require_own(link, owner)
        if link is None or link.answer is not None:
            raise NotFound(
                "This question is not open: it was answered, or has expired.",
                hint="Do it again; what is still to be agreed is asked anew.",
            )

        return _open(link)

    async def answer(self, owner: str, token: str, *, agreed: bool) -> bool:
        """Record the owner's answer; False where there is one already, or no such question.

        Raises Forbidden.
        """
        link = await self._links.find(token)
        require_own(link, owner)
        if link is None:
            return False
        if agreed:
            answer: Answer = "agreed"
        else:
            answer = "declined"
        entry = _entry(answer, owner, link.subject, _matter(link), current_way())
        first = await self._links.answer(token, answer, entry)
        if first:
            # A new event for later waiters; everybody who waits on the old one looks again.
            # Taken before the read: an answer that comes in between sets this event.
            answered, self._answered = self._answered, asyncio.Event()
            answered.set()
        return first

    async def wait(self, owner: str, token: str, seconds: float) -> Answer | None:
        """Wait for the answer, on this runtime or another.

        None if there is none within these seconds, or no such question.
        """
        until = time.monotonic() + seconds
        # Without a person nobody will answer.
        while not self._unattended:
            answered = self._answered
            link = await self._links.find(token)
            if link is None or link.owner != owner:
                return None
            if link.answer is not None:
                if link.answer == "agreed":
                    return "agreed"
                return "declined"
            if (remaining := until - time.monotonic()) <= 0:
                return None

            with suppress(TimeoutError):
                # Polls as well, since a person may answer on another replica, whose event isn't
                # this one.
                async with asyncio.timeout(min(remaining, POLL_INTERVAL)):
                    await answered.wait()

        return None

    async def _ask(self, question: Question) -> str:
        """Store a question; its token."""
        entry = _entry_of("asked", question)
        return await self._links.create(question.owner, question.digest, _to_data(question), entry)

    def _needed(self, question: Question, token: str) -> ConsentNeeded:
        url, wording = self._url_of(token), question.wording
        return ConsentNeeded(
            wording.message,
            question=_form_text(wording),
            asks=question.lines,
            confirm=token,
            url=url,
            hint=wording.hint.format(url=url),
        )


def _refuse_unshown(question: Question) -> None:
    """Raise InvalidInput where a person could not see all that they would agree to."""
    if question.diff is None:
        raise InvalidInput(
            f"Nobody can be asked to agree to this code: its difference to the live version has more than {MOST_SHOWN:,} "
            "characters, so no page can show it whole.",
            hint="Deploy it in smaller steps, or move data out of the code.",
        )


def _form_text(wording: Wording) -> str:
    """Format the question as for a form."""
    return wording.title + (f"\nAsked by {wording.asker}." if wording.asker else "")


def _to_data(question: Question) -> dict[str, Any]:
    # The code of the changes is the difference, which is stored once.
    changes = question.changes and question.changes.model_dump(mode="json", exclude={"code"})
    return {
        "wording": asdict(question.wording), "rows": question.rows, "diff": question.diff, "changes": changes,
        "service_id": question.service_id, "matter": asdict(question.matter),
    }  # fmt: skip


def _matter(link: OneTimeLink) -> Matter:
    # Links of earlier releases have none.
    return Matter(**link.data.get("matter", {"kind": "call"}))


def _entry_of(event: ConsentEvent, question: Question, way: str = "") -> ConsentEntry:
    return _entry(event, question.owner, question.digest, question.matter, way)


def _entry(event: ConsentEvent, owner: str, digest: str, matter: Matter, way: str) -> ConsentEntry:
    facts = {"about": matter.kind, "question": digest, **matter.facts}
    if way:
        facts["way"] = way
    return ConsentEntry(event, owner, matter.target, facts)


def _open(link: OneTimeLink) -> OpenQuestion:
    data = link.data
    diff = str(data.get("diff", ""))
    changes = cast("dict[str, Any] | None", data.get("changes"))
    return OpenQuestion(
        Wording(**data["wording"]),
        [(str(kind), [str(item) for item in items]) for kind, items in data["rows"]],
        diff,
        to_datetime(link.row["created_at"]),
        to_datetime(link.row["expires_at"]),
        None if changes is None else DeployChanges(code=diff, **changes),
        str(data.get("service_id", "")),
    )
