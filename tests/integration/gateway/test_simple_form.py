"""One prompt, one answer: in the shape that was asked for, mended once, priced, and honest about what went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from genai_prices.data_snapshot import get_snapshot
from tests.support.http_runtime import Door
from tests.support.runtime import SEED_TOKENS

from codewords_mcp.runtime.services.model_prompt.model_suggestions import suggest_model
from codewords_testing.providers import LoopbackProviders
from codewords_testing.providers.model import StubReply

pytestmark = pytest.mark.requirement("models:simple-form")
EXAMPLE = {"name": "Ada", "age": 36, "tags": ["maths"]}
SHAPED = {"name": "sample", "age": 1, "tags": ["sample"]}
ASKED = [
    ("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-6"),
    ("anthropic", "claude-3-5-haiku-20241022"), ("gemini", "gemini-2.5-flash"), ("gemini", "gemini-1.5-pro"),
]  # fmt: skip


def ask(http: httpx.Client, provider: str, model: str, **more: Any) -> httpx.Response:
    return http.post(f"/run/{provider}/", json={"model": model, "prompt": "Who?"} | more)


@pytest.mark.parametrize(("provider", "model"), ASKED)
def test_a_prompt_is_answered_in_text_with_usage_and_cost(
    http: httpx.Client, provider: str, model: str
) -> None:
    answer = ask(http, provider, model, system="Be brief.", temperature=0.2, max_tokens=200)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["response"].startswith("Hello from the stand-in")
    assert told["usage"]["input_tokens"] > 0
    assert (told["usage"]["calls"], told["model"]) == (1, model)
    assert 0 < told["cost"] < 0.1


@pytest.mark.parametrize(("provider", "model"), ASKED)
@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (EXAMPLE, SHAPED),
        ([1, 2], [1]),
        (
            {"type": "object", "properties": {"type": {"enum": ["bug", "idea"]}}, "required": ["type"]},
            {"type": "bug"},
        ),
        ({"type": "invoice", "total": 1.5}, {"type": "sample", "total": 1.5}),
    ],
)
def test_the_answer_has_the_shape_of_a_schema_or_an_example(
    http: httpx.Client, provider: str, model: str, example: Any, expected: Any
) -> None:
    answer = ask(http, provider, model, example_output=example)
    assert answer.status_code == 200, answer.text
    assert answer.json()["response"] == expected


@pytest.mark.parametrize("path", ["/run/openai", "/run/openai/"])
def test_a_pydantic_schema_with_references_and_optional_fields_is_held_to(
    http: httpx.Client, providers: LoopbackProviders, path: str
) -> None:
    schema = {
        "$defs": {"Mood": {"enum": ["good", "bad"], "title": "Mood", "type": "string"}},
        "properties": {
            "mood": {"$ref": "#/$defs/Mood", "description": "How they feel"},
            "note": {"type": "string", "default": "", "title": "Note"},
            "parts": {"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}},
        },
        "required": ["mood"], "title": "Ticket", "type": "object",
    }  # fmt: skip
    answer = http.post(path, json={"model": "gpt-4o", "prompt": "hi", "example_output": schema})
    assert answer.json()["response"]["mood"] == "good"
    sent = json.loads(providers.requests[-1].body)["response_format"]["json_schema"]
    assert sent["strict"] is True
    shape = sent["schema"]
    assert shape["required"] == ["mood", "note", "parts"]
    assert (
        shape["additionalProperties"]
        is shape["properties"]["parts"]["anyOf"][0]["items"]["additionalProperties"]
        is False
    )
    assert shape["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert shape["properties"]["mood"] == {"$ref": "#/$defs/Mood"}


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-6"), ("gemini", "gemini-x")]
)
def test_an_answer_of_another_shape_is_mended_once_and_then_given_up(
    http: httpx.Client, providers: LoopbackProviders, provider: str, model: str
) -> None:
    mended = ask(http, provider, f"{model}-mends", example_output=EXAMPLE)
    assert mended.json()["response"] == SHAPED
    assert mended.json()["usage"]["calls"] == 2
    asked = len(providers.requests)
    lost = ask(http, provider, f"{model}-loose", example_output=EXAMPLE)
    assert (lost.status_code, lost.json()["error"]["code"]) == (502, "model_answer_invalid")
    assert len(providers.requests) == asked + 2


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-6"), ("gemini", "gemini-x")]
)
def test_an_answer_that_was_cut_at_its_limit_says_so(http: httpx.Client, provider: str, model: str) -> None:
    answer = ask(http, provider, f"{model}-short", max_tokens=3)
    assert answer.json()["error"]["code"] == "model_answer_invalid"
    assert "max_tokens" in answer.json()["error"]["hint"]


def test_pictures_reach_each_provider_in_its_own_form(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    images = ["data:image/png;base64,aGk=", "https://pictures.example/a.png"]
    seen: list[dict[str, Any]] = []
    for provider, model in ASKED[::2]:
        assert ask(http, provider, model, images=images).status_code == 200
        seen.append(json.loads(providers.requests[-1].body))
    assert [part["image_url"]["url"] for part in seen[0]["messages"][0]["content"][1:]] == images
    assert [part["source"]["type"] for part in seen[1]["messages"][0]["content"][:2]] == ["base64", "url"]
    parts = seen[2]["contents"][0]["parts"]
    assert parts[0]["inlineData"]["data"] == "aGk="
    assert images[1] in parts[1]["fileData"].values()
    assert ask(http, "openai", "gpt-4o", images=["file:///etc/passwd"]).status_code == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "model"),
        ({"model": "gpt-4o"}, "prompt"),
        ({"model": "gpt-4o", "prompt": ""}, "prompt"),
        ({"model": "gpt 4o!", "prompt": "x"}, "name"),
        ({"model": "gpt-4o", "prompt": "x", "max_tokens": -1}, "max_tokens"),
        ({"model": "gpt-4o", "prompt": "x", "temperature": 9}, "temperature"),
    ],
)
def test_a_body_that_is_wrong_is_told_what_is(http: httpx.Client, body: dict[str, Any], says: str) -> None:
    answer = http.post("/run/openai/", json=body)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]
    assert http.post("/run/openai/", content=b"not json").status_code == 400
    assert http.get("/run/openai/").status_code == 405


@pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini"])
def test_a_providers_refusal_is_told_in_our_words(http: httpx.Client, provider: str) -> None:
    for status, ours, code in (
        (401, 502, "provider_refused"),
        (422, 502, "provider_refused"),
        (404, 404, "not_found"),
    ):
        answer = ask(http, provider, f"err-{status}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (ours, code)
        assert "stand-in" not in answer.text


_EMPTY_ANSWERS: list[tuple[str, str, Any]] = [
    ("openai", "gpt-4o", {"choices": None}),
    ("openai", "gpt-4o", {"choices": []}),
    ("openai", "gpt-4o", {"choices": [None]}),
    ("openai", "gpt-4o", {"choices": [{"message": None, "finish_reason": "stop"}]}),
    ("openai", "gpt-4o", {"choices": [{"message": {"content": None}, "finish_reason": "stop"}]}),
    ("openai", "gpt-4o", {}),
    ("anthropic", "claude-sonnet-4-6", {"type": "message", "content": None, "stop_reason": "end_turn"}),
    ("anthropic", "claude-sonnet-4-6", {"type": "message", "content": [], "stop_reason": "end_turn"}),
    ("anthropic", "claude-sonnet-4-6", {"type": "message", "content": [None], "stop_reason": "end_turn"}),
    ("anthropic", "claude-sonnet-4-6", {"content": [{"type": "text", "text": None}]}),
    ("anthropic", "claude-sonnet-4-6", {}),
    ("gemini", "gemini-2.5-flash", {"candidates": None}),
    ("gemini", "gemini-2.5-flash", {"candidates": []}),
    ("gemini", "gemini-2.5-flash", {"candidates": [None]}),
    ("gemini", "gemini-2.5-flash", {"candidates": [{"content": None, "finishReason": "STOP"}]}),
    ("gemini", "gemini-2.5-flash", {"candidates": [{"content": {"parts": None}, "finishReason": "STOP"}]}),
    ("gemini", "gemini-2.5-flash", {"candidates": [{"content": {"parts": [None]}}]}),
    ("gemini", "gemini-2.5-flash", {"candidates": [{"content": {"parts": [{"text": None}]}}]}),
    ("gemini", "gemini-2.5-flash", {}),
    *((provider, model, text) for provider, model in ASKED[::2] for text in ("[]", "null", "no JSON", "")),
]


@pytest.mark.parametrize("example", [None, EXAMPLE])
@pytest.mark.parametrize(("provider", "model", "body"), _EMPTY_ANSWERS)
def test_a_response_without_an_answer_is_one_clear_error(
    http: httpx.Client, providers: LoopbackProviders, provider: str, model: str, body: Any, example: Any
) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    providers.answer_next(StubReply(body=content.encode()))
    more = {} if example is None else {"example_output": example}
    answer = ask(http, provider, model, **more)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "model_answer_invalid"), answer.text
    assert "sent a response without an answer in it" in answer.json()["detail"]


def test_a_retired_models_error_names_a_living_neighbour() -> None:
    living = {model.id for one in get_snapshot().providers for model in one.models if not model.deprecated}
    for gone in (
        "gpt-4o",
        "gpt-4o-mini",
        "claude-3-5-haiku-20241022",
        "claude-3-opus-20240229",
        "gemini-1.5-pro",
        "gemini-1.5-flash",
    ):
        near = suggest_model(gone)
        assert near in living, (gone, near)
    assert suggest_model("somebody-elses") is None


def test_the_echo_model_answers_in_shape_and_says_that_nobody_was_asked(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    asked = len(providers.requests)
    told = ask(http, "openai", "echo", example_output=EXAMPLE).json()
    assert told["response"] == {"name": "[echo]", "age": 0, "tags": ["[echo]"]}
    assert told["note"].startswith("No provider was called")
    assert ask(http, "anthropic", "echo").json()["response"] == "[echo] Who?"
    assert len(providers.requests) == asked


@pytest.mark.requirement("gateway:budgets")
def test_the_simple_form_is_under_budgets_too(
    door: Door, http: httpx.Client, providers: LoopbackProviders
) -> None:
    key = door.make_key(owner="simple")
    found = next(item for item in http.get("/keys").json()["items"] if key.startswith(item["prefix"]))
    http.put("/budgets/key", json={"usd": 0.0, "subject": found["id"]})
    asked = len(providers.requests)
    with door.client(key=key) as client:
        answer = ask(client, "openai", "gpt-4o")
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "budget_exceeded")
    assert len(providers.requests) == asked


@pytest.mark.slow
@pytest.mark.requirement("compat:seed-programs")
def test_the_seeds_ticket_analyzer_runs_to_its_end(
    http: httpx.Client, deployable_seed_examples: Path
) -> None:
    http.put("/secrets/HUBSPOT_ACCESS_TOKEN", json={"value": SEED_TOKENS["HUBSPOT_ACCESS_TOKEN"]})
    code = (deployable_seed_examples / "support_ticket_analyzer.py").read_text(encoding="utf-8")
    deployed = http.post("/deploy", json={"code": code, "name": "Tickets", "allow": True}, timeout=300)
    assert deployed.status_code == 200, deployed.text
    ticket = {"ticket_id": "1", "subject": "Down", "content": "It is down", "customer_email": "a@example.com"}
    answer = http.post(f"/run/{deployed.json()['service_id']}/", json=ticket)
    assert answer.status_code == 200, answer.text
    assert answer.json()["analysis"]["category"] == "billing"
    assert answer.json()["routing_team"] == "billing_team"
    assert http.get(f"/request/{answer.headers['x-request-id']}").json()["cost"] > 0
