"""Rate limits of providers and of keys, kept on this side: calls over a rate wait their turn, and who waits takes turns."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.keys import TITLES
from codewords_mcp.runtime.model.provider import Provider

MOST = 30.0
"""Seconds that a call waits for its turn."""
MOST_KEYS = 1024
"""Turnstiles of keys that are kept: those that hold nobody up make room."""
HELD = 30.0
"""Seconds that a provider's own "come back later" is honoured at the most."""


class Turnstile:
    """Lets so many calls a minute through, one at a time, the waiting keys by turns."""

    def __init__(self, title: str, per_minute: float, setting: str = "CODEWORDS_PROVIDER_RATES") -> None:
        self._title = title
        self._setting = setting
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
                hint=f"{self._setting} limits them.",
            ) from None

    @property
    def idle(self) -> bool:
        """Whether it holds nobody up."""
        return not self._waiting and asyncio.get_running_loop().time() >= self._free_at

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


class RateLimits:
    """The turnstiles of the settings: calls a minute of each provider, and of each key by its id, `*` for every other one.

    Raises InvalidInput for what is no provider or rate.
    """

    def __init__(self, per_minute: dict[str, float], of_keys: dict[str, float] | None = None) -> None:
        self._of_keys = of_keys or {}
        if not per_minute.keys() <= TITLES.keys() or not all(map(_is_rate, per_minute.values())):
            raise InvalidInput(
                "CODEWORDS_PROVIDER_RATES is JSON of calls a minute for openai, anthropic and gemini."
            )
        if not all(map(_is_rate, self._of_keys.values())):
            raise InvalidInput("CODEWORDS_KEY_RATES is JSON of calls a minute for ids of keys, and `*`.")

        self._turnstiles = {
            name: Turnstile(TITLES[name], per_minute[name]) for name in TITLES if name in per_minute
        }
        self.held: dict[str, Turnstile] = {}

    async def enter(self, provider: Provider, origin: CallAttribution) -> None:
        """Wait for the turn of a call: its key's, whose runs take turns, then its provider's, where keys do. Raises TooBusy."""
        if self._of_keys:
            rate = self._of_keys.get(origin.key_id, self._of_keys.get("*", 0.0))
            if rate:
                await self._of_key(origin.key_id, rate).enter(origin.runs[-1] if origin.runs else "")
        turnstile = self._turnstiles.get(provider)
        if turnstile is not None:
            await turnstile.enter(f"{origin.owner}/{origin.key_id}")

    def told(self, provider: Provider, seconds: float) -> None:
        """The provider refused, and said when to come back: later calls wait until then."""
        turnstile = self._turnstiles.get(provider)
        if turnstile is not None:
            turnstile.hold(seconds)

    def _of_key(self, key_id: str, rate: float) -> Turnstile:
        found = self.held.get(key_id)
        if found is None:
            if len(self.held) >= MOST_KEYS:
                self.held = {one: held for one, held in self.held.items() if not held.idle}
            found = self.held[key_id] = Turnstile("this key", rate, "CODEWORDS_KEY_RATES")
        return found


def _is_rate(rate: float) -> bool:
    return 0 < rate < math.inf
