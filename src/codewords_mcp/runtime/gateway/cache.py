"""Answers kept for a while, for workflows and callers that ask for it: the same question gets the same answer, at no cost.

Off unless asked for. A question is the same where owner, workflow, provider, path, query and body are, byte for byte; and so
are the headers that change an answer. Only whole answers with status 200 are kept, of what has no effect at the provider.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Tokens

Headers = list[tuple[bytes, bytes]]
ASKS = b"x-codewords-cache"
"""A caller's header: seconds, or `no` for one call that is to be made all the same. The answer's: `hit` or `miss`."""
LONGEST = 30 * 86400.0
ROOM = 64 << 20
"""Bytes of all that is kept, of this process."""
_FLAVORS = frozenset({"chat", "completions", "responses", "embeddings", "messages", "generate", "embed"})
_TOLD = frozenset({b"content-type", b"content-encoding"})
_CHANGES = frozenset({b"anthropic-version", b"anthropic-beta", b"openai-beta", b"accept"})
_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A whole answer, what it used, and the model that gave it."""

    headers: Headers
    body: bytes
    tokens: Tokens
    model: str
    until: float

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body."""
        for at in range(0, len(self.body), _PIECE):
            yield self.body[at : at + _PIECE]


class Cache:
    """The newest answers of this process, within `room` bytes."""

    def __init__(self, room: int = ROOM, clock: Callable[[], float] = time.monotonic) -> None:
        self._room = room
        self._clock = clock
        self._kept: OrderedDict[str, CachedResponse] = OrderedDict()
        self._size = 0

    def find(self, name: str) -> CachedResponse | None:
        """The answer to a question, where it is not too old."""
        kept = self._kept.get(name)
        if kept is None:
            return None
        if kept.until <= self._clock():
            self._drop(name)
            return None
        self._kept.move_to_end(name)
        return kept

    def keep(
        self, name: str, seconds: float, headers: Headers, body: bytes, tokens: Tokens, model: str
    ) -> None:
        """Keep an answer; the ones that were not asked for the longest make room."""
        self._drop(name)
        told = [pair for pair in headers if pair[0] in _TOLD]
        self._kept[name] = CachedResponse(told, body, tokens, model, self._clock() + seconds)
        self._size += len(body)
        while self._size > self._room:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._size -= len(kept.body)


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """What stands for a call whose answer may be kept for so many seconds. `may_give`: a kept one may be given."""

    name: str
    seconds: float
    may_give: bool


def question_of(
    headers: Headers, query: bytes, origin: CallAttribution, asked: RequestFacts
) -> CacheLookup | None:
    """None where nothing is to be cached."""
    seconds, may_give = origin.rules.cache, True
    for name, value in headers:
        if name == ASKS:
            told = value.decode("latin-1").strip().lower()
            if told == "no":
                may_give = False
            else:
                seconds = float(told) if told.isdigit() else 0.0

    if not seconds or asked.route.flavor not in _FLAVORS or not asked.parsed or _has_effects(asked):
        return None

    return CacheLookup(_name_of(origin, asked, query, headers), min(seconds, LONGEST), may_give)


def _has_effects(asked: RequestFacts) -> bool:
    """Whether the call is about what is stored at the provider, or stores something that a later call names."""
    if asked.names_stored or asked.parsed.get("store") is True or asked.parsed.get("background") is True:
        return True
    return asked.route.flavor == "responses" and asked.parsed.get("store") is not False


def _name_of(origin: CallAttribution, asked: RequestFacts, query: bytes, headers: Headers) -> str:
    if origin.services:
        service = origin.services[0]
    else:
        service = ""
    more = sorted(pair for pair in headers if pair[0] in _CHANGES)
    place = (origin.owner, service, asked.route.provider, asked.route.path, query, more)
    return hashlib.sha256(repr(place).encode() + b"\0" + asked.body).hexdigest()
