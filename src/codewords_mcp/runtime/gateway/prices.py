"""Prices of tokens: the tables of genai-prices, configured prices before them, aliases for unlisted
names.

Amounts are whole picodollars, 10⁻¹² USD, so that sums are exact. A price of 1 USD per million
tokens is 10⁶ picodollars per token. genai-prices takes 60 µs and more per call, so its text rates
are compiled once and multiplied here. It prices everything else (audio, images, video) itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from codewords_mcp.runtime.gateway.named_providers import NamedProviders
from codewords_mcp.runtime.gateway.usage import AUDIO_MS, TEXT_MESSAGES, Tokens
from codewords_mcp.runtime.model.provider import Provider

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

USD = 10**12
"""Picodollars."""
_TABLES: dict[Provider, tuple[str, ...]] = {
    "openai": ("openai",), "anthropic": ("anthropic",), "gemini": ("google",),
}  # fmt: skip
"""Names of the providers in genai-prices."""
_TEXT = frozenset(
    {
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens",
        "cache_write_1h_tokens", "output_reasoning_tokens", "web_searches",
    }
)  # fmt: skip
_BY_TEXT = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cache_read", "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h", "web_searches_kcount": "web_search",
}  # fmt: skip
_OTHER_USES = ("audio", "image", "video", "storage")
_DAY = 86400
_MAX_MODELS = 2048
_OWN_FIELDS = ("input", "output", "cached")


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Picodollars per token, or per web search, of one model in one tier."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    web_search: int = 0

    def cost(self, tokens: Tokens) -> int:
        """Cost of text. Input parts with their own rate are subtracted from the rest."""
        read, written = tokens.get("cache_read_tokens", 0), tokens.get("cache_write_tokens", 0)
        for_an_hour = min(written, tokens.get("cache_write_1h_tokens", 0))
        # A report with more cached tokens than input must not give money back.
        plain = max(0, tokens["input_tokens"] - read - written)

        return (
            plain * self.input
            + tokens.get("output_tokens", 0) * self.output
            + read * self.cache_read
            + (written - for_an_hour) * self.cache_write
            + for_an_hour * self.cache_write_1h
            + tokens.get("web_searches", 0) * self.web_search
        )


@dataclass(frozen=True, slots=True)
class AudioRates:
    """Picodollars for an hour of sound, or of a session, and for a text message."""

    hour: int
    message: int

    def cost(self, milliseconds: int, messages: int) -> int:
        """Cost of so much sound, rounded up."""
        return -(-milliseconds * self.hour // 3_600_000) + messages * self.message


@dataclass(slots=True)
class _PricedModel:
    """A model with today's prices. `tiers`: (lower bound of input tokens, rates), highest first."""

    tiers: list[tuple[int, TokenRates]]
    simple: bool
    price: ModelPrice | None
    window: int | None
    other_input: int = 0
    """Rate of the dearest non-text input."""
    other_output: int = 0

    def rates(self, input_tokens: int) -> TokenRates:
        for above, rates in self.tiers:
            if input_tokens > above:
                return rates
        return self.tiers[-1][1]


class Prices:
    """Prices calls.

    `own`: model, or `provider/model`, → {input, output, cached?} in USD per million tokens; `aliases`: name → name.
    """

    def __init__(
        self,
        own: dict[str, dict[str, float]],
        aliases: dict[str, str],
        named: NamedProviders | None = None,
    ) -> None:
        self._own = {model: _own_rates(prices) for model, prices in own.items()}
        self._aliases = aliases
        self._tables: dict[Provider, tuple[str, ...]] = dict(_TABLES)
        for provider in named or ():
            self._tables[provider.name] = provider.tables
            self._own |= {
                f"{provider.name}/{model}": _own_rates(prices) for model, prices in provider.prices.items()
            }
        self._known: dict[tuple[Provider, str, str], _PricedModel | None] = {}
        self._audio: dict[tuple[Provider, str], AudioRates | None] = {}
        self._day = 0
        self._feed: list[PricedProvider] | None = None

    def use(self, providers: list[PricedProvider]) -> None:
        """Take the tables of a feed in place of those that came with genai-prices."""
        self._feed = providers
        self._known.clear()
        self._audio.clear()

    def cost(self, provider: Provider, model: str, tokens: Tokens, tier: str = "") -> int | None:
        """Picodollars; None for a model without a price.

        `tier` is the service tier that the response names.
        """
        known = self._find(provider, model, tier)
        if known is None:
            rates = self.audio_rates(provider, model) if AUDIO_MS in tokens else None
            return rates and rates.cost(tokens[AUDIO_MS], tokens.get(TEXT_MESSAGES, 0))
        if known.price is None or (known.simple and tokens.keys() <= _TEXT):
            return known.rates(tokens["input_tokens"]).cost(tokens)
        return _cost_by_genai(known.price, tokens)

    def highest_rates(
        self, provider: Provider, model: str, input_tokens: int, tier: str = ""
    ) -> TokenRates | None:
        """Maximum rates per token of any kind, with so many input tokens; None for a model without
        a price.
        """
        known = self._find(provider, model, tier)
        if known is None:
            return None
        base = known.rates(input_tokens)
        if known.other_input <= base.input and known.other_output <= base.output:
            return base
        dearest_in, dearest_out = max(base.input, known.other_input), max(base.output, known.other_output)
        return replace(base, input=dearest_in, output=dearest_out)

    def audio_rates(self, provider: Provider, model: str) -> AudioRates | None:
        """Rates of a model that is billed by the hour and not by the token; None for others."""
        self._forget_yesterday()
        key = (provider, model)
        if key not in self._audio:
            self._audio[key] = None if self.knows(provider, model) else self._load_audio(provider, model)
        return self._audio[key]

    def _load_audio(self, provider: Provider, model: str) -> AudioRates | None:
        price = self._listed_price(provider, model, "")
        values: dict[str, Any] = vars(price[0]) if price else {}
        hour: Any = values.get("audio_hours") or values.get("input_audio_hours")
        if hour is None:
            return None
        messages: Any = values.get("input_text_messages_kcount") or 0
        # A price of the tables stands for a million tokens, an hour, or a thousand messages.
        return AudioRates(_at(hour, 1 << 60) * 10**6, _at(messages, 1 << 60) * 1000)

    def window(self, provider: Provider, model: str) -> int | None:
        """Maximum input tokens of the model, if known."""
        known = self._find(provider, model, "")
        if known is not None:
            return known.window
        return None

    def knows(self, provider: Provider, model: str) -> bool:
        """Whether a model has a price."""
        return self._find(provider, model, "") is not None

    def is_own(self, provider: Provider, model: str) -> bool:
        """Whether the settings price or alias this name."""
        return model in self._aliases or model in self._own or f"{provider}/{model}" in self._own

    def real_name(self, model: str) -> str:
        """The model behind an alias."""
        return self._aliases.get(model, model)

    def _forget_yesterday(self) -> None:
        day = int(time.time()) // _DAY
        # Prices have start dates, so compiled rates are valid for a day. Names come from callers.
        if day != self._day or len(self._known) + len(self._audio) > _MAX_MODELS:
            self._known.clear()
            self._audio.clear()
            self._day = day

    def _find(self, provider: Provider, model: str, tier: str) -> _PricedModel | None:
        key = (provider, model, tier)
        # Asked several times in a call.
        if key not in self._known or time.time() // _DAY != self._day:
            self._forget_yesterday()
            self._known[key] = self._load(provider, model, tier)
        return self._known[key]

    def _names(self, provider: Provider, model: str) -> tuple[str, str]:
        """The model's name in the tables, without and with what stands before it."""
        # Gemini's names have a prefix; those of a provider that sells others' models have theirs.
        short = self.real_name(model.rpartition("/")[2])
        return short, self.real_name(model) if provider not in _TABLES else short

    def _load(self, provider: Provider, model: str, tier: str) -> _PricedModel | None:
        short, whole = self._names(provider, model)
        own = (f"{provider}/{whole}", f"{provider}/{short}", short, f"{provider}/*")
        for name in own:
            if name in self._own:
                return _PricedModel([(-1, self._own[name])], simple=True, price=None, window=None)

        found = self._listed_price(provider, model, tier)
        return found and _compiled(*found)

    def _listed_price(
        self, provider: Provider, model: str, tier: str
    ) -> tuple[ModelPrice, int | None] | None:
        """The price of today and the window of a model that the tables list."""
        short, whole = self._names(provider, model)
        if not short:
            return None
        found = next(
            (
                listed
                for table in self._tables.get(provider, ())
                for name in dict.fromkeys((whole, short))
                if (listed := _find_in_tables(table, name, self._feed))
            ),
            None,
        )
        if found is None:
            return None

        from datetime import UTC, datetime

        if provider == "anthropic":
            context = {"speed": tier}
        else:
            context = {"service_tier": tier}

        price = found.get_prices(datetime.now(UTC), context if tier else None)
        return price, found.context_window


def _own_rates(prices: Mapping[str, float]) -> TokenRates:
    unit = {name: round(prices[name] * 10**6) for name in _OWN_FIELDS if name in prices}
    plain = unit.get("input", 0)
    return TokenRates(plain, unit.get("output", 0), unit.get("cached", plain), plain, plain)


def _find_in_tables(provider: str, model: str, feed: list[PricedProvider] | None) -> ModelInfo | None:
    from genai_prices.data_snapshot import get_snapshot

    providers = get_snapshot().providers if feed is None else feed
    listed = next((table for table in providers if table.id == provider), None)
    if listed is None:
        return None
    return listed.find_model(model, all_providers=providers)


def _compiled(price: ModelPrice, window: int | None) -> _PricedModel | None:
    """Text rates for each tier of input tokens."""
    from genai_prices.types import TieredPrices

    values: dict[str, Any] = {name: value for name, value in vars(price).items() if value is not None}
    if not {"input_mtok", "output_mtok"} & values.keys():
        # Priced by the second (`AudioRates`), the character or the picture, which few responses report.
        return None

    extra = [name for name in values if name not in _BY_TEXT and not any(use in name for use in _OTHER_USES)]
    starts = {-1} | {
        tier.start for value in values.values() if isinstance(value, TieredPrices) for tier in value.tiers
    }
    tiers = [(start, _rates_at(values, start)) for start in sorted(starts, reverse=True)]
    others = {
        # The highest tier of each.
        name: _at(values[name], 1 << 60)
        for name in values
        if name not in _BY_TEXT and name.endswith("_mtok")
    }
    dear = [
        max((cost for name, cost in others.items() if name.startswith(way)), default=0)
        for way in ("in", "out")
    ]

    return _PricedModel(tiers, not extra, price, window, *dear)


def _rates_at(values: dict[str, Any], start: int) -> TokenRates:
    unit = {ours: _at(values[name], start) for name, ours in _BY_TEXT.items() if name in values}
    plain = unit.get("input", 0)
    written = unit.get("cache_write", plain)
    return TokenRates(
        plain,
        unit.get("output", 0),
        unit.get("cache_read", plain),
        written,
        unit.get("cache_write_1h", written),
        # Its price is for a thousand, the others' for a million.
        unit.get("web_search", 0) * 1000,
    )


def _at(value: Any, start: int) -> int:
    """A price per million, in the tier that begins at `start` input tokens, as picodollars for one."""
    tiers = getattr(value, "tiers", ())
    reached = [tier.price for tier in tiers if tier.start <= start]
    if hasattr(value, "base"):
        base = value.base
    else:
        base = value
    return int((reached[-1] if reached else base) * 10**6)


def _cost_by_genai(price: ModelPrice, tokens: Tokens) -> int | None:
    from genai_prices import Usage

    try:
        total = price.calc_price(Usage(**tokens))["total_price"]
    except ValueError:
        return None
    return int((total * Decimal(USD)).to_integral_value(ROUND_HALF_UP))
