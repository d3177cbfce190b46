"""Links by which a person connects an account: a page of this runtime, which leads on to the broker."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.integrations.base import Broker, Link

TTL = 3600.0
MOST = 1000
_EARLY = 300.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose account of which app."""

    owner: str
    app: str


class Links:
    """Nonces in memory, an hour each. The broker is asked for its own link when a person goes there, not before: it takes
    few such questions. For one event loop.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: dict[str, tuple[Wanted, float]] = {}
        """By nonce, with its end by the monotonic clock."""
        self._kept: dict[tuple[str, str], Link] = {}

    def create(self, owner: str, app: str) -> str:
        """A nonce of 192 random bits; asked for again soon, the same one. Past 1000 the oldest ends."""
        wanted, now = Wanted(owner, app), time.monotonic()
        self._open = {nonce: one for nonce, one in self._open.items() if one[1] > now}
        for nonce, (other, until) in self._open.items():
            if other == wanted and until - _EARLY > now:
                return nonce
        if len(self._open) >= MOST:
            del self._open[next(iter(self._open))]
        nonce = secrets.token_urlsafe(24)
        self._open[nonce] = (wanted, now + TTL)
        return nonce

    def peek(self, nonce: str) -> Wanted:
        """What it is for. Raises NotFound."""
        wanted, until = self._open.get(nonce, (None, 0.0))
        if wanted is None or until <= time.monotonic():
            raise NotFound(
                "This link is not valid: it has expired, or the runtime was restarted.",
                hint="Ask for a new one: connect_integration, or `codewords integrations connect APP`.",
            )
        return wanted

    async def onward(self, nonce: str, user: str, back: str) -> str:
        """Where the person goes. Raises NotFound, and what the broker raises."""
        wanted = self.peek(nonce)
        kept = self._kept.get((user, wanted.app))
        if kept is None or kept.expires_at - _EARLY < time.time():
            kept = self._kept[user, wanted.app] = await self._broker.connect(user, wanted.app, back)
        return kept.url

    def used(self, user: str, app: str) -> None:
        """The broker's link is good for one connection: the next one needs another."""
        self._kept.pop((user, app), None)
