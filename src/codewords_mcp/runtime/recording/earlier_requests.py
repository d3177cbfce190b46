"""Requests that earlier attempts at a run sent, which answer those of the attempt that goes on."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest
from codewords_mcp.runtime.recording.journal import (
    JournalEntry,
    RequestKeys,
    idempotency_header,
    repeat_key,
    repeats_unseen,
    takes_our_key,
)
from codewords_mcp.runtime.recording.matching import normal_form
from codewords_mcp.runtime.recording.recorder import OpenExchange

_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-f]{32}")
_BY_CHANCE: Final = re.compile(
    rb"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[147][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
"""UUIDs of the versions that are made of random bits or the clock."""


class Knowledge:
    """The texts that a program was given: its code and input, and the responses until now.

    `initial_texts` returns the first two, None where they are not whole.
    """

    def __init__(self, initial_texts: Callable[[], Sequence[bytes] | None]) -> None:
        self._initial_texts = initial_texts
        self._seen: list[OpenExchange] = []

    def saw(self, exchange: OpenExchange) -> None:
        """Remember an exchange, whose response the program gets."""
        self._seen.append(exchange)

    def has(self, token: bytes) -> bool | None:
        """True if the program was given this text; None where that cannot be decided."""
        texts = self._initial_texts()
        if any(token in text for text in texts or ()) or any(token in one.body for one in self._seen):
            return True
        # What was not kept may have had it.
        cut = any(
            one.ended_at is not None and one.status and not (one.whole or one.no_answer) for one in self._seen
        )
        return None if cut or texts is None else False


class Earlier:
    """The entries of earlier attempts that have answered nothing yet."""

    def __init__(self, entries: Iterable[JournalEntry], knowledge: Knowledge) -> None:
        # What was never sent cannot answer a request of this attempt.
        ordered = sorted((one for one in entries if one.state != "unsent"), key=place_of)
        self._knowledge = knowledge
        self._unclaimed = {one.place: one for one in ordered}
        self._exact: defaultdict[str, deque[JournalEntry]] = defaultdict(deque)
        self._alike: defaultdict[str, deque[JournalEntry]] = defaultdict(deque)
        self._form: defaultdict[str, deque[JournalEntry]] = defaultdict(deque)
        for one in ordered:
            self._exact[one.keys.exact].append(one)
            self._alike[one.keys.alike].append(one)
            if one.is_write:
                self._form[one.keys.form].append(one)
        self._distinct_forms = {one.keys.form for one in ordered if one.state == "other"}
        """Forms of which a person said that two writes are different ones, or the program has shown it."""
        self._reassigned: dict[str, JournalEntry] = {}
        """Entries that answered a request which was not equal, by their exact keys."""

    def take(self, request: RecordedRequest, keys: RequestKeys) -> JournalEntry | None:
        """The entry of the same request, which answers no other then."""
        if found := self._first(self._exact[keys.exact]):
            # What looks made by chance in it is not: it came again.
            self._distinct_forms.add(keys.form)
            return self._claim(found)
        found = self._first(self._alike[keys.alike])
        if found is None or not self._differ_by_chance(found.request, request):
            return None
        self._reassigned[found.keys.exact] = found
        return self._claim(found)

    def doubtful(self, request: RecordedRequest, keys: RequestKeys) -> JournalEntry | None:
        """A write that went out and may be this one, with another value in the place of one that looks made by chance."""
        # Its entry has answered another request, so perhaps it is this one that went out.
        if found := self._reassigned.get(keys.exact):
            return found
        if keys.form in self._distinct_forms:
            return None
        found = self._first(self._form[keys.form])
        if found is None or self._is_another(found.request, request):
            return None
        if found.state == "sent":
            return self._claim(found)
        return found

    def write_after(self, entry: JournalEntry) -> bool:
        """Whether a write that went out after this entry has not come again yet."""
        return any(one.is_write and one.place > entry.place for one in self._unclaimed.values())

    def unknown_writes(self) -> list[JournalEntry]:
        """Writes that have not come again yet, of which nobody knows whether they were carried out."""
        return [one for one in self._unclaimed.values() if self._is_unknown(one)]

    def unanswered_calls(self) -> list[JournalEntry]:
        """Calls of runs that have not come again yet, and have no answer on record."""
        calls = [one for one in self._unclaimed.values() if takes_our_key(one.request)]
        return [one for one in calls if one.answer is None and one.state != "sent"]

    def in_doubt_with(self, entry: JournalEntry) -> list[JournalEntry]:
        """Writes that have not come again yet, and differ from this one in values that look made by chance at the most."""
        return [
            one for one in self._form[entry.keys.form] if one.place in self._unclaimed and one.state != "sent"
        ]

    def _is_unknown(self, entry: JournalEntry) -> bool:
        if not entry.is_write or entry.state == "sent" or repeated_header(entry, entry.request) is not None:
            return False
        if entry.answer is None:
            return True
        return entry.answer.failed and not entry.answer.refused and not self.anything_after(entry)

    def anything_after(self, entry: JournalEntry) -> bool:
        """Whether a request that went out after this entry has not come again yet."""
        return any(one.place > entry.place for one in self._unclaimed.values())

    def _first(self, queue: deque[JournalEntry]) -> JournalEntry | None:
        # An entry is in up to three queues, and has been taken from one of the others.
        while queue and queue[0].place not in self._unclaimed:
            queue.popleft()
        return queue[0] if queue else None

    def _claim(self, entry: JournalEntry) -> JournalEntry:
        del self._unclaimed[entry.place]
        return entry

    def _differ_by_chance(self, recorded: RecordedRequest, request: RecordedRequest) -> bool:
        """Whether ids in which two requests differ are random, by their own form and since nobody gave them to the program."""
        before, now = _ids(recorded), _ids(request)
        if not all(_BY_CHANCE.fullmatch(found) for found in before ^ now):
            return False
        return all(self._knowledge.has(found) is False for found in now - before)

    def _is_another(self, recorded: RecordedRequest, request: RecordedRequest) -> bool:
        """Whether a value in which two requests differ was given to the program: then it is data."""
        before = {text for _, text in normal_form(recorded).tokens}
        tokens = {text for _, text in normal_form(request).tokens}
        return any(self._knowledge.has(text.encode()) for text in tokens - before)


def place_of(entry: JournalEntry) -> tuple[int, int]:
    """The place of an entry, to sort by."""
    return entry.place


def _ids(request: RecordedRequest) -> set[bytes]:
    return set(_UUID.findall(request.url.encode() + b"\n" + (request.body or b"")))


def repeated_header(entry: JournalEntry, request: RecordedRequest) -> Headers | None:
    """Headers with which a write may be sent once more; None where it may not."""
    if repeats_unseen(request):
        return []
    if not entry.repeat_key:
        return None
    if takes_our_key(request):
        return [(b"idempotency-key", entry.repeat_key.encode())]
    if repeat_key(request) == entry.repeat_key:
        return []
    # Clients make a key for each call: the first one counts.
    before, now = idempotency_header(entry.request), idempotency_header(request)
    if before is None or now is None or before[0] != now[0]:
        return None
    return [(before[0], before[1].encode("latin-1"))]
