"""A feed of prices changes them where it can be true, and nothing where it cannot."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.gateway.price_feed import (
    INTERVAL,
    MAX_FEED_BYTES,
    RETRY_INTERVAL,
    FeedRefusedError,
    PriceFeed,
    read_feed,
)
from codewords_mcp.runtime.gateway.prices import Prices

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:price-feed")]
TOKENS = {"input_tokens": 1_000_000, "output_tokens": 1_000_000}
Feed = list[dict[str, Any]]


@cache
def _known() -> str:
    """The prices that came with the runtime, as a feed has them."""
    at = datetime.now(UTC)
    return json.dumps(
        [
            {
                "id": provider.id, "name": provider.name, "api_pattern": provider.api_pattern,
                "models": [
                    {"id": model.id, "match": {"equals": model.id}, "prices": _amounts(model.get_prices(at))}
                    for model in provider.models
                ],
            }
            for provider in get_snapshot().providers
        ]
    )  # fmt: skip


def _amounts(price: object) -> dict[str, Any]:
    return {name: _amount(value) for name, value in vars(price).items() if value is not None}


def _amount(value: Any) -> Any:
    if not hasattr(value, "tiers"):
        return float(value)
    tiers = [{"start": tier.start, "price": float(tier.price)} for tier in value.tiers]
    return {"base": float(value.base), "tiers": tiers}


def feed() -> Feed:
    return json.loads(_known())


def prices_of(found: Feed, provider: str, model: str) -> dict[str, Any]:
    table = next(one for one in found if one["id"] == provider)
    return next(one for one in table["models"] if one["id"] == model)["prices"]


def encoded(found: object) -> bytes:
    return json.dumps(found).encode()


async def test_newer_prices_and_new_models_are_taken() -> None:
    newer = feed()
    prices_of(newer, "openai", "gpt-4o-mini")["input_mtok"] = 0.3
    models = next(one for one in newer if one["id"] == "groq")["models"]
    fresh = copy.deepcopy(models[0]) | {"id": "fresh-1", "match": {"equals": "fresh-1"}}
    fresh["prices"] = {"input_mtok": 1, "output_mtok": 2}
    models.append(fresh)
    prices = Prices({}, {})
    assert prices.cost("openai", "gpt-4o-mini", TOKENS) == 750_000_000_000

    async def fetch() -> bytes:
        return encoded(newer)

    updated = PriceFeed(prices, fetch)
    await updated.look()
    assert updated.state.failure == ""
    assert updated.state.updated_at is not None
    assert prices.cost("openai", "gpt-4o-mini", TOKENS) == 900_000_000_000


def _lie(change: Callable[[dict[str, Any]], object]) -> Callable[[], bytes]:
    def made() -> bytes:
        found = feed()
        change(prices_of(found, "openai", "gpt-4o-mini"))
        return encoded(found)

    return made


def _drop(prices: dict[str, Any]) -> None:
    del prices["output_mtok"]


def _without_models() -> bytes:
    none: dict[str, Any] = {"models": []}
    return encoded([provider | none for provider in feed()])


LIES: dict[str, Callable[[], bytes]] = {
    "a negative price": _lie(lambda prices: prices.update(input_mtok=-1)),
    "a price of zero": _lie(lambda prices: prices.update(output_mtok=0)),
    "a price that is gone": _lie(_drop),
    "a thousand times dearer": _lie(lambda prices: prices.update(input_mtok=150)),
    "a thousand times cheaper": _lie(lambda prices: prices.update(input_mtok=0.00015)),
    "beyond any price": _lie(lambda prices: prices.update(input_audio_mtok=1e9)),
    "a price that is a text": _lie(lambda prices: prices.update(input_mtok="cheap")),
    "a price that is no number": _lie(lambda prices: prices.update(input_mtok="NaN")),
    "models that are gone": _without_models,
    "no providers": lambda: b"[]",
    "another schema": lambda: encoded({"providers": feed()[:1]}),
    "items of another schema": lambda: b'[1, null, "x", [], {"id": 1}]',
    "a page": lambda: b"<html>sign in</html>",
    "nothing": lambda: b"",
    "binary": lambda: b"\xff\xfe\x00" * 1000,
    "deep": lambda: b"[" * 100_000,
    "too large": lambda: b"[" + b" " * MAX_FEED_BYTES + b"]",
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_feed_that_cannot_be_true_changes_nothing_and_is_told(lie: str) -> None:
    prices = Prices({}, {})
    answers = [LIES[lie](), encoded(feed())]
    now = 0.0

    async def fetch() -> bytes:
        return answers.pop(0)

    updated = PriceFeed(prices, fetch, lambda: now)
    await updated.look()
    assert updated.state.failure
    assert updated.state.updated_at is None
    assert prices.cost("openai", "gpt-4o-mini", TOKENS) == 750_000_000_000
    # The next look is an hour later, and a feed that is true again is taken.
    await updated.look()
    assert len(answers) == 1
    now = RETRY_INTERVAL
    await updated.look()
    assert (answers, updated.state.failure) == ([], "")


async def test_a_feed_that_cannot_be_fetched_leaves_the_prices_of_the_last_one() -> None:
    prices = Prices({}, {})
    newer = feed()
    prices_of(newer, "openai", "gpt-4o-mini")["input_mtok"] = 0.3
    now, away = 0.0, False

    async def fetch() -> bytes:
        if away:
            raise UpstreamFailed("The feed answered 503.")
        return encoded(newer)

    updated = PriceFeed(prices, fetch, lambda: now)
    await updated.look()
    first = updated.state.updated_at
    now, away = INTERVAL, True
    await updated.look()
    assert updated.state.failure == "The feed answered 503."
    assert updated.state.updated_at == first
    assert prices.cost("openai", "gpt-4o-mini", TOKENS) == 900_000_000_000


def test_a_reason_repeats_no_text_of_the_feed() -> None:
    found = feed()
    found[0]["id"] = "<script>alert(1)</script>"
    found[0]["models"][0]["prices"] = {"input_mtok": -1}
    with pytest.raises(FeedRefusedError) as refused:
        read_feed(encoded(found))
    assert "script" not in str(refused.value)
