"""Maximum cost of a call, from its request alone: a budget reserves it before the call is made.

Every token is at least a byte, so text has no more tokens than bytes. Pictures count separately,
whatever the model's window is: gpt-4o-mini bills each at 33 times its share of the window. Content
outside the request (an earlier conversation, a file by its id, search results) may fill the window
in every round of the model.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, cast

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.inputs import (
    SEARCHES,
    Inputs,
    count_of,
    find_inputs,
    plain,
    spellings,
)
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import AUDIO_MS, TEXT_MESSAGES, Json, Tokens

# Tokens that a provider puts around a conversation.
_OVERHEAD = 64
# Tokens that a provider puts around tools. Anthropic documents up to 700.
_TOOLS = 1200
# Maximum tokens of one picture: gpt-4o-mini counts 48,169 for eight tiles.
_PICTURE = 50_000
# Maximum pages of a document. OpenAI also bills each as a picture.
_PAGES = 100
# Maximum pictures of a conversation, by OpenAI's own limit.
_EARLIER_PICTURES = 500
# Models that bill pictures at more than their share of the window.
_BEYOND_WINDOW = re.compile(r"gpt-4o-mini")
# Tokens of one generated picture: gpt-image-1 documents up to 6,240.
_IMAGE_OUT = 8_000
# Used if a model's window is not known; also for Anthropic, whose window grows with a header.
_WINDOW = 1_000_000
_OUT = 128_000
# The largest that realtime models have, and Gemini's in Live sessions.
_WINDOWS: dict[Flavor, int] = {"realtime": 128_000, "transcribe": 128_000, "live": 131_072}
SLICE_SECONDS = 60
"""Seconds of a session that are reserved at once where it is billed by the hour."""
SLICE_MESSAGES = 20
"""Text messages that are reserved beside them."""
# An utterance is at most as long as a session.
_AUDIO_SECONDS: dict[Flavor, int] = {"realtime": SLICE_SECONDS, "transcribe": 3600}
# Maximum output tokens of a model, as its provider publishes them; `_OUT` for others.
_CEILINGS = (
    (re.compile(r"gpt-(4o-(mini-)?)?realtime(-mini)?(-preview)?(-\d{4}-\d\d-\d\d)?$"), 4_096),
    (re.compile(r"gpt-4o|gpt-4-turbo"), 16_384),
    (re.compile(r"gpt-4\.1"), 32_768),
    (re.compile(r"gpt-3\.5|gpt-4(-\d|$)"), 8_192),
    (re.compile(r"o[134](-|$)"), 100_000),
    (re.compile(r"gemini-(1\.5|2\.0)"), 8_192),
    (re.compile(r"gemini-"), 65_536),
)
# Fields that limit the output, as each interface spells them. Other spellings have no effect and
# are ignored.
_LIMITS: dict[Flavor, frozenset[str]] = {
    "chat": frozenset({"max_tokens", "max_completion_tokens"}),
    "completions": frozenset({"max_tokens"}),
    "responses": frozenset({"max_output_tokens"}),
    "messages": frozenset({"max_tokens"}),
    "generate": frozenset({"maxOutputTokens", "max_output_tokens"}),
    "live": frozenset({"maxOutputTokens", "max_output_tokens"}),
    "converse": frozenset({"maxTokens", "max_tokens"}),
}
_CONFIGS = frozenset({"generationconfig", "inferenceconfig", "additionalmodelrequestfields"})
_COPIES = frozenset({"n", "bestof", "candidatecount"})


_TOLERANCE = 4
"""A report is believed up to this multiple of a model's limits, which may be newer than our tables."""


class Estimate(NamedTuple):
    """Maximum cost in picodollars: of the input, and of each output token.

    `fees` is the part of `input_cost` that is billed apart from tokens.
    """

    input_cost: int
    output_tokens: int
    per_output: int
    fees: int = 0

    @property
    def max_cost(self) -> int:
        """Cost of the input and of the maximum output."""
        return self.input_cost + self.output_tokens * self.per_output

    def max_output_tokens(self, remaining: int) -> int:
        """Output tokens that `remaining` picodollars pay for; 0 if nothing fits."""
        if self.per_output:
            return max(0, remaining - self.input_cost) // self.per_output
        return 0


def estimate(facts: RequestFacts, prices: Prices, inputs: Inputs | None = None) -> Estimate | None:
    """Maximum cost of a call; None for a model without a price."""
    provider, flavor = facts.route.provider, facts.route.flavor
    inputs = inputs or find_inputs(facts)
    name = prices.real_name(facts.model.rpartition("/")[2])
    tokens = _input_tokens(facts, inputs, _window(facts, prices), name)
    found = prices.highest_rates(provider, facts.model, tokens, _tier(facts.parsed))
    if found is None:
        return _audio_estimate(facts, prices)

    # Any part of the input may be written into the cache, which costs more.
    per_input = max(found.input, found.cache_write)
    if inputs.cached:
        per_input = max(per_input, found.cache_write_1h)
    fees = inputs.searches * found.web_search
    if flavor in {"embeddings", "embed"}:
        return Estimate(tokens * per_input, 0, 0)

    out, copies = _output_bound(facts, name, inputs)
    return Estimate(tokens * per_input + fees, out, found.output * copies, fees)


def max_output_tokens(facts: RequestFacts, prices: Prices) -> int:
    """Maximum output of all copies of an answer, by the request and by the model."""
    out, copies = _output_bound(facts, prices.real_name(facts.model.rpartition("/")[2]), find_inputs(facts))
    return out * copies


def is_plausible(tokens: Tokens, facts: RequestFacts, prices: Prices) -> bool:
    """Whether a provider's report may be true: far more than the model can read or write is a provider's fault."""
    # Below these counts nothing is worth the look into the request.
    if max(tokens.values()) <= _OUT and tokens.get("web_searches", 0) <= SEARCHES:
        return True

    name = prices.real_name(facts.model.rpartition("/")[2])
    inputs = find_inputs(facts)
    window = _window(facts, prices)
    read = max(_input_tokens(facts, inputs, window, name), window * (1 + inputs.rounds))
    written = max(_output_bound(facts, name, inputs)[0], _max_output_of(name) * (1 + inputs.rounds))
    _, copies = _output_bound(facts, name, inputs)
    bounds = {
        "output": written * copies,
        "web_searches": max(inputs.searches, SEARCHES),
        AUDIO_MS: _AUDIO_SECONDS.get(facts.route.flavor, 0) * 1000,
        TEXT_MESSAGES: SLICE_MESSAGES,
    }
    return all(
        count <= _TOLERANCE * bounds.get(kind, bounds.get(kind.partition("_")[0], read))
        for kind, count in tokens.items()
    )


def _output_bound(facts: RequestFacts, name: str, inputs: Inputs) -> tuple[int, int]:
    """Maximum output tokens of an answer, and the number of answers."""
    flavor = facts.route.flavor
    if flavor in {"embeddings", "embed"}:
        return 0, 1
    configs = _config_objects(facts.parsed)
    if flavor == "images":
        return _IMAGE_OUT, _copies(facts.parsed, configs)
    # Each round of the provider's own tools may write as much as the answer.
    return _output_tokens(facts, name, configs) * (1 + inputs.rounds), _copies(facts.parsed, configs)


def _window(facts: RequestFacts, prices: Prices) -> int:
    window = prices.window(facts.route.provider, facts.model) or _WINDOWS.get(facts.route.flavor, _WINDOW)
    # A header can give a caller the large window.
    if facts.route.dialect == "anthropic":
        return max(window, _WINDOW)
    return window


def _audio_estimate(facts: RequestFacts, prices: Prices) -> Estimate | None:
    """Maximum cost of what a session uses by the hour; None for a model without such a price."""
    rates = prices.audio_rates(facts.route.provider, facts.model)
    seconds = _AUDIO_SECONDS.get(facts.route.flavor)
    if rates is None or seconds is None:
        return None
    return Estimate(rates.cost(seconds * 1000, SLICE_MESSAGES), 0, 0)


def _input_tokens(facts: RequestFacts, inputs: Inputs, window: int, name: str) -> int:
    tools = _TOOLS if facts.parsed.get("tools") else 0
    if not facts.files:
        text = len(facts.body) + _OVERHEAD + tools
    else:
        # Files are counted as pictures, by their number.
        text = len(str(facts.parsed)) + _OVERHEAD

    pictures = inputs.pictures
    if _BEYOND_WINDOW.match(name):
        pictures += inputs.documents * _PAGES + (_EARLIER_PICTURES if inputs.stored else 0)
    if inputs.window or inputs.documents or facts.route.flavor == "audio":
        text = max(text, window)
    if facts.route.flavor == "images":
        each = _IMAGE_OUT
    else:
        each = _PICTURE

    return text + inputs.rounds * max(text, window) + pictures * each * (1 + inputs.rounds)


def _output_tokens(facts: RequestFacts, name: str, configs: list[Json]) -> int:
    if facts.route.flavor not in {"generate", "live"}:
        configs = [facts.parsed, *configs]
    fields = _LIMITS.get(facts.route.flavor, frozenset())
    limit = thought = 0
    for config in configs:
        for field in fields & config.keys():
            limit = max(limit, count_of(config[field]))
    for config in (facts.parsed, *configs):
        if "thinking" in config:
            thought = max(thought, count_of(object_of(config["thinking"]).get("budget_tokens")))
    # A limit of 0 is none to a provider.
    limit = limit or _max_output_of(name)

    # Predicted tokens that are not used are billed like output.
    if facts.parsed.get("prediction"):
        predicted = len(str(facts.parsed["prediction"]))
    else:
        predicted = 0

    return limit + thought + predicted


@lru_cache(maxsize=1024)
def _max_output_of(name: str) -> int:
    return next((max_cost for pattern, max_cost in _CEILINGS if pattern.match(name)), _OUT)


def _config_objects(parsed: Json) -> list[Json]:
    """Gemini's and Converse's configuration objects in a body, in every spelling of their name."""
    if _CONFIGS.isdisjoint(spellings(parsed)):
        return []
    return [
        cast("Json", value)
        for name, value in parsed.items()
        if plain(name) in _CONFIGS and isinstance(value, dict)
    ]


def _copies(parsed: Json, configs: list[Json]) -> int:
    copies = 1
    # Providers read the number of copies in either place.
    for config in (parsed, *configs):
        if _COPIES.isdisjoint(spellings(config)):
            continue
        for name, value in config.items():
            if plain(name) in _COPIES:
                copies = max(copies, count_of(value))
    return copies


def _tier(parsed: Json) -> str:
    """The requested service tier or speed, which may cost more."""
    for tier in (parsed.get("service_tier"), parsed.get("speed")):
        if tier in ("priority", "fast"):
            return tier
    return ""
