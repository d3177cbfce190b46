"""Links by which a person connects an account: a page of this runtime, which leads on to the broker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.integrations.base import Broker, Link
from codewords_mcp.runtime.secrets.entry import SecretEntries

TTL = 3600.0
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
        self._nonces = SecretEntries()
        self._open: dict[tuple[str, str], tuple[str, float]] = {}
        self._kept: dict[tuple[str, str], Link] = {}

    def create(self, owner: str, app: str) -> str:
        """A nonce; asked for again soon, the same one."""
        kept = self._open.get((owner, app))
        if kept is not None and kept[1] - _EARLY > time.monotonic() and self._lives(kept[0]):
            return kept[0]
        nonce = self._nonces.create(owner, app, ttl=TTL)
        self._open = {of: one for of, one in self._open.items() if one[1] > time.monotonic()}
        self._open[owner, app] = (nonce, time.monotonic() + TTL)
        return nonce

    def peek(self, nonce: str) -> Wanted:
        """What it is for. Raises NotFound."""
        try:
            entry = self._nonces.peek(nonce)
        except NotFound:
            raise NotFound(
                "This link is not valid: it has expired, or the runtime was restarted.",
                hint="Ask for a new one: connect_integration, or `codewords integrations connect APP`.",
            ) from None
        return Wanted(entry.owner, entry.name)

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

    def _lives(self, nonce: str) -> bool:
        try:
            self._nonces.peek(nonce)
        except NotFound:
            return False
        return True
