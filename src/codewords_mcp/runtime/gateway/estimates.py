"""The most that a call can cost, from its request alone: what a budget reserves before the call is made.

Every token is at least a byte, so text has no more tokens than bytes. What is not in the request (a picture by its
address, an earlier conversation, search results) may fill the model's whole window.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from codewords_mcp.runtime.gateway.asked import Asked
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.usage import Json

_OVERHEAD = 64
"""Tokens that a provider puts around a conversation."""
_TOOLS = 1200
"""Tokens that a provider puts around tools: Anthropic tells up to 700."""
_PICTURE = 50_000
"""Tokens of one picture at the most: gpt-4o-mini counts 48,169 for eight tiles."""
_IMAGE_OUT = 8_000
"""Tokens of one generated picture: gpt-image-1 tells up to 6,240."""
_SEARCHES = 10
"""Web searches of one call, where no `max_uses` bounds them."""
_WINDOW = 1_000_000
"""Where a model's window is not known."""
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
_ELSEWHERE = re.compile(
    rb'"(previous_response_id|conversation|file_id|file_url|fileData|file_data|fileUri|cachedContent|container)"\s*:'
    rb'|"type"\s*:\s*"(web_search|web_fetch|file_search|code_interpreter|code_execution|mcp|computer|url)'
    rb'|"(google_search|googleSearch|urlContext|url_context|codeExecution|image_url|url)"\s*:\s*(\{\s*("url"\s*:\s*)?)?("https?:|\{)'
)
_PICTURES = re.compile(rb'"(image_url|inlineData|inline_data)"|"type"\s*:\s*"(image|input_image)"')
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Picodollars at the most: for what goes in, and for each token that comes out."""

    input_cost: int
    output_tokens: int
    per_output: int

    @property
    def most(self) -> int:
        """All of it."""
        return self.input_cost + self.output_tokens * self.per_output

    def fitting(self, room: int) -> int:
        """How many tokens may come out for so much; 0 where nothing fits."""
        return max(0, room - self.input_cost) // self.per_output if self.per_output else 0


def estimate(asked: Asked, prices: Prices) -> Estimate | None:
    """What a call may cost; None for a model without a price."""
    provider, flavor = asked.route.provider, asked.route.flavor
    window = prices.window(provider, asked.model) or _WINDOW
    tokens = min(_input_tokens(asked, window), window)
    found = prices.highest(provider, asked.model, tokens)
    if found is None:
        return None
    per_input = max(found.input, found.cache_write)
    if b'"cache_control"' in asked.body:
        per_input = max(per_input, found.cache_write_1h)
    searches = _searches(asked.body) * found.web_search
    if flavor in {"embeddings", "embed"}:
        return Estimate(tokens * per_input, 0, 0)
    copies = _copies(asked.parsed)
    out = _IMAGE_OUT if flavor == "images" else _output_tokens(asked)
    return Estimate(tokens * per_input + searches, out, found.output * copies)


def _input_tokens(asked: Asked, window: int) -> int:
    body = asked.body
    if asked.route.flavor == "audio" or _ELSEWHERE.search(body):
        return window
    tools = _TOOLS if asked.parsed.get("tools") else 0
    return len(body) + _OVERHEAD + tools + _PICTURE * len(_PICTURES.findall(body))


def _output_tokens(asked: Asked) -> int:
    config: Any = asked.parsed.get("generationConfig") or asked.parsed.get("generation_config")
    places = [asked.parsed, cast("Json", config)] if isinstance(config, dict) else [asked.parsed]
    for place in places:
        for name in (*_LIMITS, "maxOutputTokens"):
            value = place.get(name)
            if type(value) is int and value > 0:
                return value
    return next((most for pattern, most in _CEILINGS if pattern.match(asked.model)), _OUT)


def _copies(parsed: Json) -> int:
    config: Any = parsed.get("generationConfig")
    values = [parsed.get("n"), parsed.get("best_of")]
    values += [cast("Json", config).get("candidateCount")] if isinstance(config, dict) else []
    return max([1, *(value for value in values if type(value) is int)])


def _searches(body: bytes) -> int:
    if b"web_search" not in body and b"google_search" not in body and b"googleSearch" not in body:
        return 0
    found = re.search(rb'"max_uses"\s*:\s*(\d{1,4})', body)
    return int(found[1]) if found else _SEARCHES
