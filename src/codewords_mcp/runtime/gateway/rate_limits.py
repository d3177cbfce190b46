"""Rate limits of providers and keys, applied before the call: excess calls queue, and keys take
turns.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Iterable

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.keys import title_of
from codewords_mcp.runtime.model.provider import OWN_PROVIDERS, Provider

MAX_WAIT = 30.0
"""Seconds that a call waits in the queue."""
MAX_KEY_LIMITERS = 1024
"""Pacers of keys in memory. Idle ones are dropped to make space."""
MAX_PAUSE = 30.0
"""Maximum seconds for which a provider's `retry-after` is honoured."""


class CallPacer:
    """Lets a number of calls per minute through, one at a time, round-robin over the waiting keys."""

    def __init__(self, title: str, per_minute: float, setting: str = "CODEWORDS_PROVIDER_RATES") -> None:
        self._title = title
        self._setting = setting
        self._interval = 60 / per_minute
        self._free_at = 0.0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, key: str) -> None:
        """Wait for a slot. Raises TooBusy if that takes longer than `MAX_WAIT` seconds."""
        loop = asyncio.get_running_loop()
        if not self._waiting and loop.time() >= self._free_at:
            self._free_at = loop.time() + self._interval
            return

        waiter: asyncio.Future[None] = loop.create_future()
        # One queue per key: a key with many calls must not delay the others' first.
        self._waiting.setdefault(key, deque()).append(waiter)
        self._arm()
        try:
            async with asyncio.timeout(MAX_WAIT):
                await waiter
        except TimeoutError:
            raise TooBusy(
                f"Timed out after {MAX_WAIT:g} s in the queue: the rate limit of {self._title} is in use.",
                retry_after=max(1, math.ceil(self._interval * self.waiting)),
                hint=f"Try again later, or raise the limit in {self._setting}.",
            ) from None

    @property
    def idle(self) -> bool:
        """Whether no call waits or would have to."""
        return not self._waiting and asyncio.get_running_loop().time() >= self._free_at

    @property
    def waiting(self) -> int:
        """Number of waiting calls."""
        return sum(len(queue) for queue in self._waiting.values())

    def pause(self, seconds: float) -> None:
        """Let no call through for some seconds, as the provider asked."""
        until = asyncio.get_running_loop().time() + min(seconds, MAX_PAUSE)
        self._free_at = max(self._free_at, until)

    def _arm(self) -> None:
        if self._timer is None and self._waiting:
            self._timer = asyncio.get_running_loop().call_at(self._free_at, self._next)

    def _next(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._waiting and now >= self._free_at:
            key, queue = self._waiting.popitem(last=False)
            waiter = queue.popleft()
            if queue:
                # Behind the other keys.
                self._waiting[key] = queue
            # A cancelled call uses no slot.
            if not waiter.done():
                waiter.set_result(None)
                self._free_at = now + self._interval

        self._arm()


class RateLimits:
    """Pacers from the settings: calls per minute of each provider, and of each key by its id (`*`:
    any other).

    Raises InvalidInput for an unknown provider or an invalid rate.
    """

    def __init__(
        self,
        per_minute: dict[str, float],
        of_keys: dict[str, float] | None = None,
        providers: Iterable[str] = OWN_PROVIDERS,
    ) -> None:
        self._of_keys = of_keys or {}
        if not per_minute.keys() <= frozenset(providers) or not all(map(_is_rate, per_minute.values())):
            raise InvalidInput(
                "CODEWORDS_PROVIDER_RATES is JSON of calls a minute for openai, anthropic, gemini and named providers."
            )
        if not all(map(_is_rate, self._of_keys.values())):
            raise InvalidInput("CODEWORDS_KEY_RATES is JSON of calls a minute for ids of keys, and `*`.")

        self._pacers = {name: CallPacer(title_of(name), rate) for name, rate in per_minute.items()}
        self.key_limiters: dict[str, CallPacer] = {}

    async def enter(self, provider: Provider, origin: CallAttribution) -> None:
        """Wait for the key's slot, round-robin over its runs, then for the provider's, round-robin
        over keys.

        Raises TooBusy.
        """
        if self._of_keys:
            rate = self._of_keys.get(origin.key_id, self._of_keys.get("*", 0.0))
            if rate:
                # The first run of the chain: its nested runs share its turn.
                await self._of_key(origin.key_id, rate).enter(origin.runs[-1] if origin.runs else "")
        pacer = self._pacers.get(provider)
        if pacer is not None:
            await pacer.enter(f"{origin.owner}/{origin.key_id}")

    def on_refused(self, provider: Provider, seconds: float) -> None:
        """Pause calls to a provider that refused one and said when to come back."""
        pacer = self._pacers.get(provider)
        if pacer is not None:
            pacer.pause(seconds)

    def _of_key(self, key_id: str, rate: float) -> CallPacer:
        found = self.key_limiters.get(key_id)
        if found is None:
            # Ids of keys come and go, so their number in memory is bounded.
            if len(self.key_limiters) >= MAX_KEY_LIMITERS:
                self.key_limiters = {
                    known: pacer for known, pacer in self.key_limiters.items() if not pacer.idle
                }
            found = self.key_limiters[key_id] = CallPacer("this key", rate, "CODEWORDS_KEY_RATES")
        return found


def _is_rate(rate: float) -> bool:
    return 0 < rate < math.inf
