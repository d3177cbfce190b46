"""One-time entries: a person types a secret's value on a page, and it never passes through a chat."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.secrets.rules import HostRule

DEFAULT_TTL = 600.0
MAX_ENTRIES = 1000
MAX_PER_OWNER = 50


@dataclass(frozen=True, slots=True)
class Entry:
    """Whose secret a nonce lets a person set, its name, and the host rule that is proposed to them."""

    owner: str
    name: str
    proposed: HostRule | None = None


@dataclass(frozen=True, slots=True)
class _Pending:
    entry: Entry
    expires: float


class SecretEntries:
    """Nonces in memory: 192 random bits each, valid once and for a while; a restart of the runtime ends
    them all.

    Bounded: past 50 of one owner, or 1000 in all, the oldest one ends. Not for threads; one event loop.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pending: dict[
            bytes, _Pending
        ] = {}  # by digest: a lookup's time then tells nothing of the nonce

    def __len__(self) -> int:
        self._forget_expired()
        return len(self._pending)

    def create(
        self, owner: str, name: str, proposed: HostRule | None = None, *, ttl: float = DEFAULT_TTL
    ) -> str:
        """A nonce, safe in a URL, that is good for one `redeem` within `ttl` seconds."""
        self._forget_expired()
        self._make_room(owner)
        nonce = secrets.token_urlsafe(24)
        self._pending[_digest(nonce)] = _Pending(Entry(owner, name, proposed), self._clock() + ttl)
        return nonce

    def peek(self, nonce: str) -> Entry:
        """What the nonce is for, without spending it. Raises NotFound when unknown, spent or expired."""
        self._forget_expired()
        digest = _digest(nonce)
        pending = self._pending.get(digest)
        if pending is None:
            raise NotFound(
                "This link is not valid: it was used, has expired, or the runtime was restarted.",
                hint="Ask for a new one, or type `codewords secrets set NAME` in a terminal.",
            )
        return pending.entry

    def redeem(self, nonce: str) -> Entry:
        """Spend the nonce, for good: check the value first. Raises NotFound as `peek` does."""
        entry = self.peek(nonce)
        del self._pending[_digest(nonce)]
        return entry

    def _forget_expired(self) -> None:
        now = self._clock()
        for digest in [digest for digest, pending in self._pending.items() if pending.expires <= now]:
            del self._pending[digest]

    def _make_room(self, owner: str) -> None:
        own = [digest for digest, pending in self._pending.items() if pending.entry.owner == owner]
        if len(own) >= MAX_PER_OWNER:
            del self._pending[own[0]]
        elif len(self._pending) >= MAX_ENTRIES:
            del self._pending[next(iter(self._pending))]


def _digest(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode("utf-8", "surrogateescape")).digest()
