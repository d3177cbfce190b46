"""Newer prices from a feed that the operator allows, in the format of genai-prices.

A feed decides about budgets, so one that differs from the prices that came with the runtime more than prices ever do
changes nothing, and is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import structlog

from codewords_mcp.common.bounded_json import UnacceptableJson, parse
from codewords_mcp.errors import CodewordsError, UpstreamFailed
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

log = structlog.get_logger(__name__)
INTERVAL: Final = 86_400.0
"""Seconds between looks at the feed."""
RETRY_INTERVAL: Final = 3600.0
"""Seconds until a feed that failed is asked again."""
FETCH_TIMEOUT: Final = 60.0
MAX_FEED_BYTES: Final = 16 << 20
MAX_PRICE: Final = Decimal(10_000)
"""USD for a million tokens, or a thousand requests."""
MAX_FACTOR: Final = 10
"""Factor by which the price of a known model may differ from the one that came with the runtime."""
_MIN_KNOWN: Final = 0.8
"""Part of the known models that a feed has to have still."""
Fetch = Callable[[], Awaitable[bytes]]
"""Fetches the feed, at most `MAX_FEED_BYTES`. Raises CodewordsError."""


class FeedRefusedError(Exception):
    """A feed that cannot be true, with the reason."""


@dataclass(frozen=True, slots=True)
class FeedState:
    """State of the prices. `updated_at` is None while they are those that came with the runtime.

    `failure`: why the latest feed changed nothing.
    """

    updated_at: datetime | None = None
    failure: str = ""


class PriceFeed:
    """Keeps prices up to date. `look` is called at an interval, and does nothing before its time."""

    def __init__(self, prices: Prices, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._prices = prices
        self._fetch = fetch
        self._clock = clock
        self._due = clock()
        self.state = FeedState()

    async def look(self) -> None:
        """Take the feed's prices, if it is time, and they can be true."""
        if self._clock() < self._due:
            return
        # Set before the wait: a feed that hangs or fails is not asked again by each call.
        self._due = self._clock() + RETRY_INTERVAL
        try:
            providers = await asyncio.to_thread(read_feed, await self._fetch())
        except (CodewordsError, FeedRefusedError) as error:
            reason = error.message if isinstance(error, CodewordsError) else str(error)
            self.state = FeedState(self.state.updated_at, reason)
            log.warning("price feed refused", reason=reason)
            return

        self._prices.use(providers)
        self._due = self._clock() + INTERVAL
        self.state = FeedState(datetime.now(UTC))
        log.info("prices updated", models=sum(len(provider.models) for provider in providers))


def open_price_feed(settings: Settings, web: Web, prices: Prices) -> PriceFeed | None:
    """The feed of the settings; None without one."""
    address = settings.price_feed
    if address is None:
        return None

    async def fetch() -> bytes:
        response = await web.api(address, "", max_bytes=MAX_FEED_BYTES, seconds=FETCH_TIMEOUT)
        if response.status != 200:
            raise UpstreamFailed(f"The feed answered {response.status}.")
        return response.body

    return PriceFeed(prices, fetch)


def read_feed(content: bytes) -> list[Provider]:
    """The providers of a feed. Blocking. Raises FeedRefusedError."""
    from genai_prices.data_snapshot import get_snapshot
    from genai_prices.types import (
        _providers_from_raw,  # pyright: ignore[reportPrivateUsage]  # what its own updates use
    )

    if len(content) > MAX_FEED_BYTES:
        raise FeedRefusedError("it is too large")
    try:
        raw: Any = parse(content)
        if not isinstance(raw, list):
            raise FeedRefusedError("it is no list of providers")
        providers = _providers_from_raw(raw)
    except (UnacceptableJson, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        # Whatever its schema is, it is not the one that this version reads.
        raise FeedRefusedError("it has another format") from None

    for provider in providers:
        for model in provider.models:
            _check_bounds(provider, model)
    _compare(get_snapshot().providers, providers)
    return providers


def _check_bounds(provider: Provider, model: ModelInfo) -> None:
    prices = [model.prices] if not isinstance(model.prices, list) else [one.prices for one in model.prices]
    prices += [variant.prices for variant in model.price_variants or ()]
    for price in prices:
        for name, amount in _amounts(price):
            if not amount.is_finite() or not 0 <= amount <= MAX_PRICE:
                raise FeedRefusedError(f"{name} of a model of {_shown(provider.id)} is {_sign(amount)}")


def _sign(amount: Decimal) -> str:
    if not amount.is_finite():
        return "no number"
    return "negative" if amount < 0 else f"over {MAX_PRICE} USD"


def _compare(known: list[Provider], found: list[Provider]) -> None:
    """Compare the prices of models in both."""
    at = datetime.now(UTC)
    tables = {provider.id: provider for provider in found}
    total = missing = 0
    for provider in known:
        listed = {model.id: model for model in tables[provider.id].models} if provider.id in tables else {}
        for model in provider.models:
            total += 1
            newer = listed.get(model.id)
            if newer is None:
                missing += 1
            else:
                _compare_model(provider.id, model.get_prices(at), newer.get_prices(at))
    if missing > total * (1 - _MIN_KNOWN):
        raise FeedRefusedError(f"it lacks {missing} of {total} known models")


def _compare_model(provider: str, known: ModelPrice, found: ModelPrice) -> None:
    newer = dict(_amounts(found))
    for name, before in _amounts(known):
        after = newer.get(name)
        if after is None:
            # Tiers begin elsewhere now and then; a price that is gone would count as nothing.
            if " " in name:
                continue
            after = Decimal(0)
        # A free model that now costs something is no lie.
        if before and not before / MAX_FACTOR <= after <= before * MAX_FACTOR:
            raise FeedRefusedError(
                f"{name} of a model of {provider} went from {before} to {after} USD, more than {MAX_FACTOR} times"
            )


def _amounts(price: ModelPrice) -> Iterator[tuple[str, Decimal]]:
    """The amounts of a price by name; of one in tiers, the first under that name and all others beside it."""
    for name, value in vars(price).items():
        if value is None or name.startswith("_"):
            continue
        yield name, Decimal(getattr(value, "base", value))
        for tier in getattr(value, "tiers", ()):
            yield f"{name} from {tier.start} tokens", Decimal(tier.price)


def _shown(name: str) -> str:
    """A name of the feed in a message, if it looks like one."""
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else "a provider"
