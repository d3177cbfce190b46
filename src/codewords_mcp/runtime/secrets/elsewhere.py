"""Values of secrets that are kept elsewhere: asked for when they are used, remembered for a short time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from codewords_mcp.errors import InvalidInput, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.secrets import stores
from codewords_mcp.runtime.secrets.names import check_value
from codewords_mcp.runtime.secrets.references import AllowedReferences, SecretReference

STALE_SECONDS: Final = 900.0
"""For which the last value is used where its store does not answer."""
ANSWER_SECONDS: Final = 3 * stores.TIMEOUT_SECONDS
"""For all requests that one value takes."""
_MAX_REMEMBERED: Final = 1000

Reader = Callable[[SecretReference], str]


@dataclass(frozen=True, slots=True, repr=False)
class _Remembered:
    value: str
    read_at: float


class SecretsElsewhere:
    """Reads values at references that the home allows. `cache_seconds`: for which a value is used without asking again."""

    def __init__(
        self,
        allowed: AllowedReferences,
        cache_seconds: float,
        *,
        read: Reader = stores.read,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed = allowed
        self._cache_seconds = cache_seconds
        self._read = read
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._remembered: dict[SecretReference, _Remembered] = {}
        # Runs that start together ask once.
        self._asking: dict[SecretReference, asyncio.Task[str]] = {}

    async def value(self, owner: str, name: str, reference: SecretReference) -> str:
        """The value of a secret at its reference.

        Raises InvalidInput where the home doesn't allow the reference or the package for it is missing, UpstreamFailed
        where there is no value, UpstreamTimedOut where the store does not answer and no value of the last 15 minutes is
        known.
        """
        # Asked each time: what was allowed when it was stored may not be any more.
        self._allowed.require(owner, reference)
        known = self._remembered.get(reference)
        if known is not None and self._clock() - known.read_at < self._cache_seconds:
            return known.value

        try:
            return await self._ask(reference)
        except stores.StoreFailed as error:
            # A store that answers is believed: what it took away, or refuses, is not used any longer.
            if not error.away:
                self._remembered.pop(reference, None)
                raise UpstreamFailed(f"{name} is kept in {reference}: {error}.") from None
            if known is not None and self._clock() - known.read_at < STALE_SECONDS:
                return known.value
            raise UpstreamTimedOut(f"{name} is kept in {reference}: {error}.") from None

    async def _ask(self, reference: SecretReference) -> str:
        asking = self._asking.get(reference)
        if asking is None:
            asking = self._asking[reference] = asyncio.create_task(self._read_now(reference))
            asking.add_done_callback(lambda _: self._asking.pop(reference, None))

        # Shielded: one run that is cancelled must not fail the others that wait for the same value.
        return await asyncio.shield(asking)

    async def _read_now(self, reference: SecretReference) -> str:
        at = self._clock()
        try:
            async with asyncio.timeout(self._answer_seconds):
                value = check_value(await asyncio.to_thread(self._read, reference))
        except TimeoutError:
            raise stores.StoreFailed("the store does not answer", away=True) from None
        except InvalidInput as error:
            # Without the package it has a remedy; else the value is none.
            if error.remedy is not None:
                raise
            raise stores.StoreFailed("its value is empty, too long or no text") from None

        # All at once: they are a minute old at the most, and asked for again.
        if len(self._remembered) >= _MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[reference] = _Remembered(value, at)
        return value
