"""The words of a question about writes of which nobody knows whether they were carried out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from codewords_mcp.errors import WriteUnknown
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.unknown_writes import UnknownWriteInfo
from codewords_mcp.runtime.recording.held_writes import MAX_SHOWN_BODY, address_of, cut, text_of_body
from codewords_mcp.runtime.recording.journal import JournalEntry
from codewords_mcp.runtime.store.clock import to_datetime

MAX_ADDRESS: Final = 300
"""Characters of an address in a question."""
MAX_NAMED: Final = 5
"""Writes that an error names."""
_UNPRINTABLE: Final = re.compile(r"[^\x21-\x7e]")


def unknown(run_id: str, entries: Sequence[JournalEntry]) -> WriteUnknown:
    """The error of a run that came to writes of which nobody knows whether they were carried out."""
    if len(entries) == 1:
        message = f"{_name(entries[0])} {_reason(entries[0])}."
        hint = "Nothing was sent again. Look whether it is there."
    else:
        message = f"{len(entries)} writes may have been carried out by earlier attempts: {_names(entries)}."
        hint = "Nothing was sent again. Look for each whether it is there."
    return WriteUnknown(message, hint=hint, remedy=Remedy(RemedyAction.RESUME_RUN, {"run": run_id}))


def info_of(number: int, entry: JournalEntry) -> UnknownWriteInfo:
    """A write as a question shows it."""
    body = entry.request.body
    return UnknownWriteInfo(
        number=number,
        attempt=entry.attempt,
        method=entry.request.method,
        address=cut(address_of(entry.request), MAX_ADDRESS),
        body=cut(text_of_body(entry.request), MAX_SHOWN_BODY),
        bytes=None if body is None else len(body),
        reason=_reason(entry),
        sent_at=to_datetime(entry.began) if entry.began else None,
    )


def _names(entries: Sequence[JournalEntry]) -> str:
    # Equal names are counted: many writes go to one address.
    counts: dict[str, int] = {}
    for entry in entries:
        counts[_name(entry)] = counts.get(_name(entry), 0) + 1
    named = [
        f"{count} times {name}" if count > 1 else name for name, count in list(counts.items())[:MAX_NAMED]
    ]
    left = len(entries) - sum(list(counts.values())[:MAX_NAMED])
    if left:
        named.append(f"{left} more")
    return ", ".join(named)


def _name(entry: JournalEntry) -> str:
    # A program chooses the address, and the message is shown at terminals.
    request = entry.request
    return f"{request.method} {_UNPRINTABLE.sub('', request.url.partition('?')[0])[:MAX_ADDRESS]}"


def _reason(entry: JournalEntry) -> str:
    if entry.answer is None:
        return "was sent by an earlier attempt, and its answer is not on record: whether it was carried out is unknown"
    if entry.answer.failed:
        return f"was answered with status {entry.answer.status} in an earlier attempt: whether it was carried out is unknown"
    return (
        "was carried out by an earlier attempt, and this attempt was about to send one that differs in a value that "
        "looks made by chance: whether it is the same is unknown"
    )
