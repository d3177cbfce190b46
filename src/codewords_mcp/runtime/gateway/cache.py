"""Response cache for workflows and callers that enable it: an equal request gets the stored
response, at no cost.

Off by default. Requests are equal if owner, workflow, provider, path, query and body are, byte for
byte, and the headers that change a response. Only complete responses with status 200 to requests
without effects at the provider are stored.
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
CACHE_HEADER = b"x-codewords-cache"
"""Header of a request: seconds, or `no` to bypass the cache once.

Header of a response: `hit` or `miss`.
"""
MAX_TTL = 30 * 86400.0
MAX_BYTES = 64 << 20
"""Bytes of all stored bodies, per process."""
_FLAVORS = frozenset({"chat", "completions", "responses", "embeddings", "messages", "generate", "embed"})
# Others belong to one exchange: its date, its id, its limits.
_STORED_HEADERS = frozenset({b"content-type", b"content-encoding"})
# Headers that change a response.
_KEY_HEADERS = frozenset({b"anthropic-version", b"anthropic-beta", b"openai-beta", b"accept"})
_CHUNK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A complete response, its token usage, and the model that produced it."""

    headers: Headers
    body: bytes
    tokens: Tokens
    model: str
    until: float

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body."""
        for at in range(0, len(self.body), _CHUNK_BYTES):
            yield self.body[at : at + _CHUNK_BYTES]


class Cache:
    """The newest responses of this process, up to `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_bytes = max_bytes
        self._clock = clock
        self._entries: OrderedDict[str, CachedResponse] = OrderedDict()
        self._size = 0

    def find(self, key: str) -> CachedResponse | None:
        """The stored response to a request, unless it has expired."""
        stored = self._entries.get(key)
        if stored is None:
            return None
        if stored.until <= self._clock():
            self._drop(key)
            return None
        # The one that was used least recently is evicted first.
        self._entries.move_to_end(key)
        return stored

    def put(self, key: str, ttl: float, headers: Headers, body: bytes, tokens: Tokens, model: str) -> None:
        """Store a response. The least recently used ones are evicted to make space."""
        # Else its bytes would count twice.
        self._drop(key)
        forwarded = [pair for pair in headers if pair[0] in _STORED_HEADERS]
        self._entries[key] = CachedResponse(forwarded, body, tokens, model, self._clock() + ttl)
        self._size += len(body)
        while self._size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: str) -> None:
        stored = self._entries.pop(key, None)
        if stored is not None:
            self._size -= len(stored.body)


@dataclass(frozen=True, slots=True)
class CacheLookup:
    """Cache key of a call whose response may be stored for `ttl` seconds.

    `may_serve`: a stored response may be served.
    """

    key: str
    ttl: float
    may_serve: bool


def cache_lookup(
    headers: Headers, query: bytes, origin: CallAttribution, facts: RequestFacts
) -> CacheLookup | None:
    """The lookup for a request; None if it is not to be cached."""
    ttl, may_serve = origin.rules.cache, True
    for name, value in headers:
        if name == CACHE_HEADER:
            forwarded = value.decode("latin-1").strip().lower()
            if forwarded == "no":
                may_serve = False
            else:
                # Anything but a number turns the cache off.
                ttl = float(forwarded) if forwarded.isdigit() else 0.0

    if not ttl or facts.route.flavor not in _FLAVORS or not facts.parsed or _has_effects(facts):
        return None

    return CacheLookup(_key_of(origin, facts, query, headers), min(ttl, MAX_TTL), may_serve)


def _has_effects(facts: RequestFacts) -> bool:
    """Whether the call uses stored objects of the provider, or stores one that a later call can
    name.
    """
    if facts.names_stored or facts.parsed.get("store") is True or facts.parsed.get("background") is True:
        return True
    # OpenAI stores responses of this interface unless told not to.
    return facts.route.flavor == "responses" and facts.parsed.get("store") is not False


def _key_of(origin: CallAttribution, facts: RequestFacts, query: bytes, headers: Headers) -> str:
    # A workflow must not learn what another one has asked.
    if origin.services:
        service = origin.services[0]
    else:
        service = ""
    more = sorted(pair for pair in headers if pair[0] in _KEY_HEADERS)
    scope = (origin.owner, service, facts.route.provider, facts.route.path, query, more)
    # The null byte keeps the parts apart: no shift between them gives the same digest.
    return hashlib.sha256(repr(scope).encode() + b"\0" + facts.body).hexdigest()
