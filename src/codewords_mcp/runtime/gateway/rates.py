"""Rate limits of providers, kept on this side of them: calls over the rate wait their turn, and keys take turns."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from contextlib import suppress

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway.keys import TITLES
from codewords_mcp.runtime.models import Provider

MOST = 30.0
"""Seconds that a call waits for its turn."""
HELD = 30.0
"""Seconds that a provider's own "come back later" is honoured at the most."""


class Turnstile:
    """Lets so many calls a minute through, one at a time, the waiting keys by turns."""

    def __init__(self, title: str, per_minute: float) -> None:
        self._title = title
        self._gap = 60 / per_minute
        self._free_at = 0.0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, key: str) -> None:
        """Return when it is this call's turn. Raises TooBusy where that takes longer than `MOST` seconds."""
        loop = asyncio.get_running_loop()
        if not self._waiting and loop.time() >= self._free_at:
            self._free_at = loop.time() + self._gap
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        self._arm()
        try:
            async with asyncio.timeout(MOST):
                await turn
        except TimeoutError:
            raise TooBusy(
                f"Calls of {self._title} wait longer than {MOST:g} s for their turn.",
                retry_after=max(1, math.ceil(self._gap * self.waiting)),
                hint="CODEWORDS_PROVIDER_RATES limits them.",
            ) from None

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return sum(len(turns) for turns in self._waiting.values())

    def hold(self, seconds: float) -> None:
        """The provider said when to come back."""
        until = asyncio.get_running_loop().time() + min(seconds, HELD)
        self._free_at = max(self._free_at, until)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._free_at, self._next)

    def _next(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting and now >= self._free_at:
            key, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[key] = turns  # behind the other keys
            if not turn.done():  # else its caller left
                turn.set_result(None)
                self._free_at = now + self._gap
        self._arm()


class Rates:
    """The turnstiles of the settings: provider → calls a minute. Raises InvalidInput for what is no provider or rate."""

    def __init__(self, per_minute: dict[str, float]) -> None:
        for name, rate in per_minute.items():
            if name not in TITLES or not 0 < rate < math.inf:
                raise InvalidInput(
                    "CODEWORDS_PROVIDER_RATES is JSON of calls a minute for openai, anthropic and gemini."
                )
        self._turnstiles = {
            name: Turnstile(TITLES[name], per_minute[name]) for name in TITLES if name in per_minute
        }

    async def enter(self, provider: Provider, key: str) -> None:
        """Wait for the turn of a call by this key. Raises TooBusy."""
        turnstile = self._turnstiles.get(provider)
        if turnstile is not None:
            await turnstile.enter(key)

    def told(self, provider: Provider, status: int, retry_after: str) -> None:
        """What the provider answered: after a 429 that says when to come back, later calls wait until then."""
        turnstile = self._turnstiles.get(provider)
        if status == 429 and turnstile is not None and retry_after:
            with suppress(ValueError):
                turnstile.hold(max(0.0, float(retry_after)))
