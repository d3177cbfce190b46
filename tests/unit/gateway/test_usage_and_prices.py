"""Tokens read off every interface, and their price: exactly what genai-prices says, and a person's own before it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, extract_usage
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given, settings
from hypothesis import strategies as st

from codewords_mcp.runtime.gateway.estimates import is_plausible
from codewords_mcp.runtime.gateway.prices import USD, Prices
from codewords_mcp.runtime.gateway.providers import Flavor, ProviderRoute
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import read_usage
from codewords_mcp.runtime.model.provider import Provider

pytestmark = pytest.mark.requirement("gateway:prices")

CHAT: dict[str, Any] = {
    "prompt_tokens": 1200, "completion_tokens": 90, "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 0},
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "input_tokens": 1200, "input_tokens_details": {"cached_tokens": 1024}, "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 64},
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "input_tokens": 25, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 200, "output_tokens": 90,
    "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
    "server_tool_use": {"web_search_requests": 2},
}  # fmt: skip
GEMINI: dict[str, Any] = {
    "promptTokenCount": 1200, "candidatesTokenCount": 90, "thoughtsTokenCount": 30, "cachedContentTokenCount": 500,
    "toolUsePromptTokenCount": 11, "totalTokenCount": 1331,
}  # fmt: skip
AUDIO: dict[str, Any] = {
    "promptTokenCount": 300, "candidatesTokenCount": 9, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 200}],
}  # fmt: skip
IMAGES: dict[str, Any] = {
    "input_tokens": 50, "output_tokens": 272, "input_tokens_details": {"text_tokens": 13, "image_tokens": 37},
}  # fmt: skip

CASES: list[tuple[Provider, str, str, Flavor, str, str, dict[str, Any]]] = [
    ("openai", "openai", "gpt-4o-mini", "chat", "chat", "model", {"usage": CHAT}),
    ("openai", "openai", "gpt-5.5", "responses", "responses", "model", {"usage": RESPONSES}),
    ("openai", "openai", "text-embedding-3-small", "embeddings", "embeddings", "model", {"usage": {"prompt_tokens": 77}}),
    ("openai", "openai", "gpt-image-1", "images", "images", "model", {"usage": IMAGES}),
    ("anthropic", "anthropic", "claude-sonnet-4-6", "messages", "default", "model", {"usage": MESSAGES}),
    ("anthropic", "anthropic", "claude-3-5-haiku-20241022", "messages", "default", "model", {"usage": MESSAGES}),
    ("gemini", "google", "gemini-2.5-flash", "generate", "default", "modelVersion", {"usageMetadata": GEMINI}),
    ("gemini", "google", "gemini-2.5-pro", "generate", "default", "modelVersion", {"usageMetadata": GEMINI}),
    ("gemini", "google", "gemini-1.5-pro", "generate", "default", "modelVersion", {"usageMetadata": GEMINI}),
    ("gemini", "google", "gemini-2.5-flash", "generate", "default", "modelVersion", {"usageMetadata": AUDIO}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "theirs", "model", "flavor", "their_flavor", "field", "answer"), CASES)
def test_an_answer_costs_what_genai_prices_says(
    provider: Provider,
    theirs: str,
    model: str,
    flavor: Flavor,
    their_flavor: str,
    field: str,
    answer: dict[str, Any],
) -> None:
    expected = extract_usage(answer | {field: model}, provider_id=theirs, api_flavor=their_flavor)
    usage = answer.get("usage") or answer["usageMetadata"]
    tokens = read_usage(flavor, usage)
    assert tokens is not None
    assert tokens["input_tokens"] == expected.usage.input_tokens
    cost = Prices({}, {}).cost(provider, model, tokens)
    assert cost == int(expected.calc_price().total_price * USD)


def _models() -> list[tuple[Provider, str]]:
    names: list[tuple[Provider, str]] = [
        ("openai", "openai"),
        ("anthropic", "anthropic"),
        ("gemini", "google"),
    ]
    known = {one.id: one for one in get_snapshot().providers}
    return [
        (ours, model.id)
        for ours, theirs in names
        for model in known[theirs].models
        if known[theirs].find_model(model.id)
    ]


MODELS = _models()


@settings(max_examples=300)
@given(
    st.sampled_from(MODELS),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_compiled_rates_equal_the_tables_for_every_model_and_tier(
    named: tuple[Provider, str],
    asked: int,
    answered: int,
    read_part: float,
    written_part: float,
    searches: int,
) -> None:
    provider, model = named
    read = int(asked * read_part)
    written = int((asked - read) * written_part) if provider == "anthropic" else 0
    tokens = {"input_tokens": asked, "output_tokens": answered}
    tokens |= {"cache_read_tokens": read} if read else {}
    tokens |= {"cache_write_tokens": written, "cache_write_1h_tokens": written // 3} if written else {}
    tokens |= {"web_searches": searches} if searches and provider == "anthropic" else {}
    cost = Prices({}, {}).cost(provider, model, tokens)
    listed = next(
        one for one in get_snapshot().providers if one.id == {"gemini": "google"}.get(provider, provider)
    )
    found = listed.find_model(model)
    assert found is not None
    try:
        total = found.calc_price(Usage(**tokens), listed).total_price
    except ValueError:
        return
    if cost is None:
        assert total == Decimal(0) or not {"input_mtok", "output_mtok"} & {
            name for name, value in vars(found.get_prices(_now())).items() if value is not None
        }
    else:
        assert abs(cost - int(total * USD)) <= 1


def _now() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC)


def test_a_persons_own_price_comes_first_and_an_alias_is_priced_as_what_it_stands_for() -> None:
    prices = Prices(
        {
            "house-model": {"input": 1.0, "output": 2.5, "cached": 0.1},
            "gpt-4o": {"input": 9.0, "output": 9.0},
        },
        {"fast": "gpt-4o-mini"},
    )
    tokens = {"input_tokens": 1000, "output_tokens": 10, "cache_read_tokens": 400}
    assert prices.cost("openai", "house-model", tokens) == 600 * 10**6 + 25 * 10**6 + 400 * 10**5
    assert prices.cost("openai", "gpt-4o", tokens) == 1010 * 9 * 10**6
    assert prices.cost("openai", "fast", tokens) == prices.cost("openai", "gpt-4o-mini", tokens)


def test_a_service_tier_has_its_own_price_and_an_unknown_model_none() -> None:
    prices = Prices({}, {})
    tokens = {"input_tokens": 1000, "output_tokens": 10}
    usual, flex = (prices.cost("openai", "gpt-5.5", tokens, tier) for tier in ("default", "flex"))
    assert usual
    assert flex
    assert flex < usual
    assert prices.cost("openai", "gpt-6.2-sol", tokens) is None
    assert prices.cost("openai", "", tokens) is None
    assert prices.cost("openai", "whisper-1", tokens) is None
    assert prices.cost("gemini", "models/gemini-2.5-flash", tokens)


@pytest.mark.requirement("gateway:bad-usage")
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 1, "completion_tokens": "2"},
        {"prompt_tokens": 1.5, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": False}},
        {"prompt_tokens": 1, "completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 0.0}},
        {"prompt_tokens": 1, "completion_tokens": 1 << 60},
        {"total_tokens": 5},
    ],
)
def test_usage_that_cannot_be_true_is_none(usage: dict[str, Any]) -> None:
    assert read_usage("chat", json.loads(json.dumps(usage))) is None


@pytest.mark.requirement("gateway:bad-usage")
def test_a_report_is_believed_up_to_what_its_model_can_do_and_not_a_hundred_times_that() -> None:
    prices = Prices({}, {})

    def believes(flavor: Flavor, **tokens: int) -> bool:
        route = ProviderRoute("openai", "openai", "/v1/realtime", "metered", flavor)
        facts = RequestFacts(route, b"{}", {}, "gpt-4o")
        return is_plausible({"input_tokens": 1, "output_tokens": 1} | tokens, facts, prices)

    assert believes("chat", input_tokens=127_000, output_tokens=16_000)
    assert believes("realtime", input_tokens=500_000)
    assert believes("transcribe", audio_ms=3_600_000)
    assert not believes("chat", input_tokens=12_700_000)
    assert not believes("chat", output_tokens=1_600_000)
    assert not believes("realtime", output_tokens=1 << 40)
    assert not believes("transcribe", audio_ms=360_000_000)
    assert not believes("live", web_searches=1000)
    assert not believes("embeddings", output_tokens=500_000)
