"""The most that a call can cost, from its request alone: what a budget reserves before the call is made.

Every token is at least a byte, so text has no more tokens than bytes. Pictures count one by one, whatever the model's
window is: gpt-4o-mini bills each at 33 times what it takes of the window. What is not in the request (an earlier
conversation, a file by its id, search results) may fill the window, each time that the model is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from codewords_mcp.runtime.gateway.inputs import Inputs, count_of, find_inputs, plain
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json

_OVERHEAD = 64
"""Tokens that a provider puts around a conversation."""
_TOOLS = 1200
"""Tokens that a provider puts around tools: Anthropic tells up to 700."""
_PICTURE = 50_000
"""Tokens of one picture at the most: gpt-4o-mini counts 48,169 for eight tiles."""
_PAGES = 100
"""Pages of a document at the most, each of which OpenAI also bills as a picture."""
_EARLIER_PICTURES = 500
"""Pictures of a conversation at the most, as OpenAI bounds them."""
_BEYOND_WINDOW = re.compile(r"gpt-4o-mini")
"""Models that bill pictures at more than they take of the window."""
_IMAGE_OUT = 8_000
"""Tokens of one generated picture: gpt-image-1 tells up to 6,240."""
_WINDOW = 1_000_000
"""Where a model's window is not known; also Anthropic's, whose window grows with a header."""
_OUT = 128_000
_CEILINGS = (
    (re.compile(r"gpt-4o|gpt-4-turbo"), 16_384),
    (re.compile(r"gpt-4\.1"), 32_768),
    (re.compile(r"gpt-3\.5|gpt-4(-\d|$)"), 8_192),
    (re.compile(r"o[134](-|$)"), 100_000),
    (re.compile(r"gemini-(1\.5|2\.0)"), 8_192),
    (re.compile(r"gemini-"), 65_536),
)
"""Tokens that a model writes at the most, as its provider publishes them; `_OUT` for others."""
_LIMITS: dict[Flavor, frozenset[str]] = {
    "chat": frozenset({"max_tokens", "max_completion_tokens"}),
    "completions": frozenset({"max_tokens"}),
    "responses": frozenset({"max_output_tokens"}),
    "messages": frozenset({"max_tokens"}),
    "generate": frozenset({"maxOutputTokens", "max_output_tokens"}),
}
"""What bounds an answer, as each interface spells it: other spellings do not bound it, and are not believed."""
_COPIES = frozenset({"n", "bestof", "candidatecount"})


@dataclass(frozen=True, slots=True)
class Estimate:
    """Picodollars at the most: for what goes in, and for each token that comes out. `fees`: of `input_cost`, what is billed
    apart from tokens.
    """

    input_cost: int
    output_tokens: int
    per_output: int
    fees: int = 0

    @property
    def most(self) -> int:
        """All of it."""
        return self.input_cost + self.output_tokens * self.per_output

    def fitting(self, room: int) -> int:
        """How many tokens may come out for so much; 0 where nothing fits."""
        if self.per_output:
            return max(0, room - self.input_cost) // self.per_output
        return 0


def estimate(asked: RequestFacts, prices: Prices, inputs: Inputs | None = None) -> Estimate | None:
    """What a call may cost; None for a model without a price."""
    provider, flavor = asked.route.provider, asked.route.flavor
    inputs = inputs or find_inputs(asked)
    name = prices.real_name(asked.model.rpartition("/")[2])
    window = prices.window(provider, asked.model) or _WINDOW
    if provider == "anthropic":
        window = max(window, _WINDOW)
    tokens = _input_tokens(asked, inputs, window, name)
    found = prices.highest(provider, asked.model, tokens, _tier(asked.parsed))
    if found is None:
        return None

    per_input = max(found.input, found.cache_write)
    if inputs.cached:
        per_input = max(per_input, found.cache_write_1h)
    fees = inputs.searches * found.web_search
    if flavor in {"embeddings", "embed"}:
        return Estimate(tokens * per_input, 0, 0)

    if flavor == "images":
        out = _IMAGE_OUT
    else:
        out = _output_tokens(asked, name) * (1 + inputs.rounds)

    return Estimate(tokens * per_input + fees, out, found.output * _copies(asked.parsed), fees)


def _input_tokens(asked: RequestFacts, inputs: Inputs, window: int, name: str) -> int:
    tools = _TOOLS if asked.parsed.get("tools") else 0
    if not asked.files:
        text = len(asked.body) + _OVERHEAD + tools
    else:
        text = len(str(asked.parsed)) + _OVERHEAD

    pictures = inputs.pictures
    if _BEYOND_WINDOW.match(name):
        pictures += inputs.documents * _PAGES + (_EARLIER_PICTURES if inputs.stored else 0)
    if inputs.window or inputs.documents or asked.route.flavor == "audio":
        text = max(text, window)
    if asked.route.flavor == "images":
        each = _IMAGE_OUT
    else:
        each = _PICTURE

    return text + inputs.rounds * max(text, window) + pictures * each * (1 + inputs.rounds)


def _output_tokens(asked: RequestFacts, name: str) -> int:
    limits = _LIMITS.get(asked.route.flavor, frozenset())
    given = [
        value
        for place in _places(asked.parsed, own=asked.route.flavor != "generate")
        for field in limits
        if (value := count_of(place.get(field)))
    ]
    thinking: Any = asked.parsed.get("thinking")

    if isinstance(thinking, dict):
        thought = count_of(cast("Json", thinking).get("budget_tokens"))
    else:
        thought = 0

    # what was predicted and not used is billed as if it had been written
    if asked.parsed.get("prediction"):
        predicted = len(str(asked.parsed["prediction"]))
    else:
        predicted = 0

    return (max(given) if given else _ceiling(name)) + thought + predicted


@lru_cache(maxsize=1024)
def _ceiling(name: str) -> int:
    return next((most for pattern, most in _CEILINGS if pattern.match(name)), _OUT)


def _places(parsed: Json, *, own: bool) -> list[Json]:
    """The body itself, and what Gemini's has in a part of it."""
    configs = [
        cast("Json", value)
        for name, value in parsed.items()
        if plain(name) == "generationconfig" and isinstance(value, dict)
    ]
    if own:
        return [parsed, *configs]
    return configs


def _copies(parsed: Json) -> int:
    values = [
        count_of(value)
        for place in _places(parsed, own=True)
        for name, value in place.items()
        if plain(name) in _COPIES
    ]
    return max([1, *values])


def _tier(parsed: Json) -> str:
    """The service tier or speed that is asked for, which may be dearer."""
    asked = [parsed.get("service_tier"), parsed.get("speed")]
    return next((one for one in asked if one in {"priority", "fast"}), "")
