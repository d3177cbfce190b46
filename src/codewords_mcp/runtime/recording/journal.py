"""The journal of a run: requests of its attempts, with their answers. A resumed attempt goes on from it.

Nothing here does I/O: `runs/run_journals.py` stores the entries, `resume.py` decides by them.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar, cast
from urllib.parse import parse_qsl

from codewords_mcp.common.json_parts import object_of, text_of
from codewords_mcp.errors import CodewordsError, RuntimeUnavailable, StorageFailed
from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.model.run_wait import WAITING_SERVICES
from codewords_mcp.runtime.recording.codec import usage_as_json, usage_of_json
from codewords_mcp.runtime.recording.exchanges import Headers, RecordedRequest, split_url
from codewords_mcp.runtime.recording.recorder import OpenExchange

T = TypeVar("T")

EntryState = Literal["begun", "done", "asked", "sent", "unsent", "other"]
"""A write that may have gone out; a request with its whole answer; a write that a person is asked about; one that a person said
was sent; one that a person said was not; one that a person said is another write than the one that was to be sent.
"""
ANSWERED_STATES: Final = frozenset({"sent", "unsent", "other"})
"""States that a person's answer leads to."""
MAX_ENTRY: Final = 8 << 20
"""Bytes of an entry before compression. What claims more is damaged."""

_KEY_HEADERS: Final = frozenset({b"idempotency-key", b"x-idempotency-key"})
_KEY_HEADERS_OF: Final = {"paypal.com": b"paypal-request-id"}
_KEY_FIELDS_OF: Final = {
    "squareup.com": ("idempotency_key",),
    "squareupsandbox.com": ("idempotency_key",),
    "amazonaws.com": ("ClientToken", "ClientRequestToken", "clientToken", "clientRequestToken"),
    "googleapis.com": ("requestId",),
}
"""Parts of the query or the JSON body by which these hosts know a request again."""
_SECRET: Final = re.compile(r"\[secret [A-Za-z0-9_]+\]")


@dataclass(frozen=True, slots=True)
class RequestKeys:
    """Digests by which requests of two attempts are compared.

    `exact`: of the whole request. `alike`: without times of the moment and ids that the program made up. `form`: with marks in
    the place of everything that looks made by chance.
    """

    exact: str
    alike: str
    form: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Headers
    body: bytes

    @property
    def refused(self) -> bool:
        """Whether it says that the request was not carried out for now."""
        # RFC 8470 and RFC 6585: the target says that it has not processed the request.
        return self.status in {425, 429}

    @property
    def failed(self) -> bool:
        """Whether it leaves open what became of the request, so that a later attempt may fare better."""
        return self.status >= 500 or self.refused


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One request of an attempt."""

    attempt: int
    number: int
    """Its place among the live requests of the attempt."""
    state: EntryState
    request: RecordedRequest
    keys: RequestKeys
    is_write: bool
    repeat_key: str = ""
    """The idempotency key that it was sent with; "" without one."""
    answer: Answer | None = field(default=None)
    began: int = 0
    """Time of the request, in µs since 1970; 0 where it is unknown."""
    ended: int = 0
    """Time of the end of its answer."""
    usage: CallUsage | None = None
    """The usage of a model call."""

    @property
    def place(self) -> tuple[int, int]:
        """Its place among all live requests of the run."""
        return self.attempt, self.number


class RequestJournal(Protocol):
    """Keeps the entries of one attempt; see `StoredJournal`."""

    attempt: int

    async def begin(self, entry: JournalEntry) -> bool:
        """Put a write on record, before it is sent. False if the attempt is over, and nothing may be sent.

        Raises StorageFailed: then nothing may be sent either.
        """
        ...

    def complete(self, entry: JournalEntry, exchange: OpenExchange) -> None:
        """Put an answer on record before anything that is begun later."""
        ...

    def drop(self, entry: JournalEntry) -> None:
        """Take a write off the record, which was not sent."""
        ...

    async def answer_is_lost(self, entry: JournalEntry) -> bool:
        """Whether a write called a run that has ended, and whose answer cannot be given again by its idempotency key."""
        ...

    async def ask(self, entries: Sequence[JournalEntry]) -> None:
        """Note that a person is asked about these writes, and no others."""
        ...


def idempotency_header(request: RecordedRequest) -> tuple[bytes, str] | None:
    """(name, value) of the header by which its target knows a request again; None without one."""
    names = set(_KEY_HEADERS)
    if special := _of_host(request.host, _KEY_HEADERS_OF):
        names.add(special)
    for name, value in request.headers:
        text = value.decode("latin-1").strip()
        # A key that holds a secret's value is not on record, so it could not be sent again.
        if name.lower() in names and text and not _SECRET.search(text):
            return name.lower(), text
    return None


def repeat_key(request: RecordedRequest) -> str:
    """The idempotency key of a request, by which its target carries it out once however often it comes; "" without one."""
    if found := idempotency_header(request):
        return found[1]
    for name in _of_host(request.host, _KEY_FIELDS_OF) or ():
        if value := _part(request, name):
            return value
    return ""


def takes_our_key(request: RecordedRequest) -> bool:
    """Whether the runtime itself is called for a run, which is carried out once for each idempotency key."""
    first, _, rest = split_url(request.url).path.strip("/").partition("/")
    return request.channel == "call" and first in {"run", "run_async"} and bool(rest)


def may_wait(request: RecordedRequest) -> bool:
    """Whether the runtime is called for a wait, which may last for days. Another attempt finds it by our key."""
    first, _, rest = split_url(request.url).path.strip("/").partition("/")
    return request.channel == "call" and first == "run" and rest.partition("/")[0] in WAITING_SERVICES


def is_answer(request: RecordedRequest, error: CodewordsError) -> bool:
    """Whether an error that the runtime answers a call with tells what became of the call.

    Else its own state is the reason: the attempt is over, the runtime ends, its store takes nothing, or it has a fault.
    """
    of_runtime = isinstance(error, (RuntimeUnavailable, StorageFailed)) or error.code == CodewordsError.code
    # What ended a run is on record with it, and comes again by the key of the call. A wait has no such record.
    return not of_runtime or (error.run_id is not None and not may_wait(request))


def repeats_unseen(request: RecordedRequest) -> bool:
    """Whether a request may be made twice, since only the runtime's own files see it."""
    return request.channel == "call" and split_url(request.url).path.startswith("/file/")


def _of_host(host: str, table: dict[str, T]) -> T | None:
    for domain, value in table.items():
        # With the dot, since anybody can register a name that only ends alike.
        if host == domain or host.endswith("." + domain):
            return value
    return None


def _part(request: RecordedRequest, name: str) -> str:
    query = dict(parse_qsl(split_url(request.url).query))
    if name in query:
        return query[name]
    try:
        body = json.loads(request.body or b"")
    except (ValueError, RecursionError):
        return ""
    return text_of(object_of(body).get(name))


def entry_to_bytes(entry: JournalEntry) -> bytes:
    """The entry without its place and state, which are columns."""
    request, answer = entry.request, entry.answer
    heads: dict[str, Any] = {
        "request": [request.channel, request.method, request.url, _flat(request.headers), request.writes],
        "body": None if request.body is None else len(request.body),
        "keys": [entry.keys.exact, entry.keys.alike, entry.keys.form],
        "write": entry.is_write,
        "repeat": entry.repeat_key,
        "answer": None if answer is None else [answer.status, _flat(answer.headers)],
        "times": [entry.began, entry.ended],
        "usage": usage_as_json(entry.usage),
    }
    text = json.dumps(heads, separators=(",", ":")).encode()
    bodies = (request.body or b"") + (b"" if answer is None else answer.body)
    # The fastest level: the program's write waits until this row is committed.
    return zlib.compress(len(text).to_bytes(8, "big") + text + bodies, 1)


def entry_of_bytes(attempt: int, number: int, state: str, data: bytes) -> JournalEntry:
    """The inverse of `entry_to_bytes`. Raises ValueError for other bytes."""
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, MAX_ENTRY)
        if not inflater.eof:
            # Else an answer that was cut would be given to the program as a whole one.
            raise ValueError("it is cut off, or longer than an entry")
        end = 8 + int.from_bytes(raw[:8], "big")
        heads = cast("dict[str, Any]", json.loads(raw[8:end]))
        channel, method, url, headers, writes = heads["request"]
        length = heads["body"]
        at = end + (length or 0)
        body = None if length is None else raw[end:at]
        request = RecordedRequest(channel, method, url, _pairs(headers), body, writes)
        answered = heads["answer"]
        if answered is None:
            answer = None
        else:
            answer = Answer(answered[0], _pairs(answered[1]), raw[at:])
        began, ended = heads["times"]
        return JournalEntry(
            attempt,
            number,
            cast("EntryState", state),
            request,
            RequestKeys(*heads["keys"]),
            bool(heads["write"]),
            heads["repeat"],
            answer,
            int(began),
            int(ended),
            usage_of_json(heads["usage"]),
        )
    except (zlib.error, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError("a damaged journal entry") from error


def _flat(headers: Headers) -> list[str]:
    return [text.decode("latin-1") for pair in headers for text in pair]


def _pairs(flat: list[str]) -> Headers:
    encoded = [text.encode("latin-1") for text in flat]
    return list(zip(encoded[::2], encoded[1::2], strict=True))
