"""A budget is a hard ceiling however a request is written: what is spent is never more, and what cannot be counted is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.integration.gateway.helpers import BILLING, costs

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway.canonical import canonical
from codewords_mcp.runtime.gateway.estimates import estimate
from codewords_mcp.runtime.gateway.inputs import find_inputs
from codewords_mcp.runtime.gateway.prices import Prices
from codewords_mcp.runtime.gateway.providers import find_route
from codewords_mcp.runtime.gateway.request_facts import read_request
from codewords_testing.providers import LoopbackProviders

pytestmark = [pytest.mark.requirement("gateway:one-meaning")]
PRICES = Prices({}, BILLING)
PICTURE = "https://example.com/a.png"
DATA = "data:image/png;base64,AAAA"


def chat(*parts: Any, **more: Any) -> dict[str, Any]:
    """A chat with these parts of content."""
    content = [{"type": "text", "text": "hi"}, *parts]
    return {
        "model": "gpt-4o-mini-bills",
        "max_tokens": 16,
        "messages": [{"role": "user", "content": content}],
    } | more


def picture(url: str = PICTURE) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def gemini(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}, *parts]}]} | more


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/openai/chat/completions", chat()),
    ("/openai/chat/completions", chat(picture())),
    ("/openai/chat/completions", chat(*[picture(DATA)] * 40)),
    ("/openai/chat/completions", chat(n=8)),
    ("/openai/chat/completions", chat({"type": "file", "file": {"file_id": "file-1"}})),
    ("/openai/responses", {"model": "gpt-4o-mini-bills", "input": "hi", "previous_response_id": "resp_1", "max_output_tokens": 16}),
    ("/openai/responses", {"model": "gpt-4o-mini-bills", "input": "hi", "conversation": {"id": "c"}, "max_output_tokens": 16}),
    (
        "/openai/responses",
        {"model": "gpt-4o-mini-bills", "max_output_tokens": 16, "input": [{"role": "user", "content": [{"type": "input_image", "image_url": DATA}] * 3}]},
    ),
    ("/run/gemini/v1/chat/completions", chat(picture(), picture()) | {"model": "gemini-2.5-flash-bills"}),
    ("/gemini/v1beta/models/gemini-2.5-flash-bills:generateContent", gemini({"inline_data": {"mime_type": "image/png", "data": "AA"}})),
    ("/gemini/v1beta/models/gemini-2.5-flash-bills:generateContent", gemini({"fileData": {"fileUri": "files/a"}})),
    ("/gemini/v1beta/models/gemini-2.5-flash-bills:generateContent", gemini(cachedContent="cachedContents/a")),
    (
        "/anthropic/v1/messages",
        {"model": "claude-sonnet-4-6-bills", "max_tokens": 16, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": PICTURE}}] * 3}]},
    ),
    (
        "/anthropic/v1/messages",
        {"model": "claude-sonnet-4-6-bills", "max_tokens": 16, "messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]},
    ),
]  # fmt: skip


def escaped(body: dict[str, Any]) -> str:
    """The same JSON with every letter of every name and text as an escape."""

    def spell(value: Any) -> str:
        if isinstance(value, str):
            return '"' + "".join(f"\\u{ord(letter):04x}" for letter in value) + '"'
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).items()
            return "{" + ",".join(f"{spell(name)}:{spell(item)}" for name, item in items) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(spell, cast("list[Any]", value))) + "]"
        return json.dumps(value)

    return spell(body)


def twice(body: dict[str, Any]) -> str:
    """The same JSON behind a cheap one of the same names."""
    return (
        '{"model": "gpt-4o-mini", "messages": [], "input": "", "contents": [], "max_tokens": 1, '
        + json.dumps(body)[1:]
    )


def other_case(body: dict[str, Any]) -> str:
    return json.dumps({name.title(): value for name, value in body.items()} | body)


RUN_BY_THE_PROVIDER: list[tuple[str, dict[str, Any]]] = [
    ("/openai/responses", {"tools": [{"type": "web_search"}]}),
    ("/openai/responses", {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
    ("/openai/responses", {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}),
    ("/openai/responses", {"tools": [{"type": "mcp", "server_url": "https://example.com"}]}),
    ("/openai/responses", {"tools": [{"type": "image_generation"}]}),
    ("/openai/responses", {"prompt": {"id": "pmpt_1"}}),
    ("/openai/responses", {"tools": [{"type": "some_tool_of_tomorrow"}]}),
    ("/anthropic/v1/messages", {"tools": [{"type": "code_execution_20250825", "name": "x"}]}),
    (
        "/anthropic/v1/messages",
        {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]},
    ),
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", {"tools": [{"fileSearch": {}}]}),
    ("/gemini/v1beta/models/gemini-2.5-flash:generateContent", {"tools": [{"google_maps": {}}]}),
]

WAYS: dict[str, Callable[[dict[str, Any]], str]] = {
    "plain": json.dumps,
    "escaped": escaped,
    "twice": twice,
    "two spellings": other_case,
    "spaced": lambda body: " \n\t" + json.dumps(body, indent=3) + "\r\n ",
    "byte order mark": lambda body: "\ufeff" + json.dumps(body),
}
TYPES = ["application/json", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]  # fmt: skip


def _spent(client: httpx.Client) -> float:
    return sum(item["cost"] for item in costs(client, "model"))


def test_after_any_calls_in_any_spelling_what_is_spent_is_within_the_budget(
    limited: Callable[[str, float], httpx.Client], providers: LoopbackProviders
) -> None:
    owners = iter(range(10_000))

    @given(
        st.lists(st.tuples(st.sampled_from(CALLS), st.sampled_from(sorted(WAYS)), st.sampled_from(TYPES[:3])), min_size=1, max_size=4),
        st.sampled_from([0.0001, 0.01, 0.05, 1.0]),
    )  # fmt: skip
    @settings(
        max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    )
    @example([(CALLS[1], "escaped", "application/json")] * 2, 0.01)
    @example([(CALLS[2], "plain", "application/json")], 0.05)
    @example([(CALLS[1], "twice", "application/json")], 0.01)
    def spend(calls: list[tuple[tuple[str, dict[str, Any]], str, str]], budget: float) -> None:
        with limited(f"hard-{next(owners)}", budget) as client:
            for (path, body), way, media in calls:
                answer = client.post(path, content=WAYS[way](body).encode(), headers={"content-type": media})
                assert answer.status_code in {200, 400, 402, 429}, answer.text
            assert _spent(client) <= budget

    spend()


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_escapes_and_spaces_change_nothing_of_an_estimate(path: str, body: dict[str, Any]) -> None:
    _, first, rest = path.split("/", 2)
    run_mount = first == "run"
    provider, _, rest = rest.partition("/") if run_mount else (first, "", rest)
    route = find_route(provider, "POST", f"/{rest}", run_mount=run_mount)  # type: ignore[arg-type]
    asked = {way: canonical(read_request(route, spell(body).encode()), []) for way, spell in WAYS.items() if way not in {"twice", "two spellings"}}  # fmt: skip
    assert len({one.body for one in asked.values()}) == 1
    assert len({estimate(one, PRICES) for one in asked.values()}) == 1


def test_what_is_sent_under_a_budget_is_what_was_estimated(
    limited: Callable[[str, float], httpx.Client], providers: LoopbackProviders
) -> None:
    body = chat()
    with limited("canonical", 1.0) as client:
        assert client.post("/openai/chat/completions", content=escaped(body)).status_code == 200
    assert providers.requests[-1].body == json.dumps(body, separators=(",", ":")).encode()
    assert providers.requests[-1].headers["content-type"] == "application/json"


def test_without_a_budget_a_body_passes_byte_for_byte(
    http: httpx.Client, providers: LoopbackProviders
) -> None:
    raw = escaped(chat()).encode() + b" \n"
    answer = http.post("/openai/chat/completions", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert providers.requests[-1].body == raw


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (twice(chat(picture())).encode(), {}),
        (other_case(chat(picture())).encode(), {}),
        (gzip.compress(json.dumps(chat()).encode()), {"content-encoding": "gzip"}),
        (json.dumps(chat()).encode(), {"content-encoding": "gzip"}),
        (json.dumps(chat()).encode(), {"content-type": "application/x-www-form-urlencoded"}),
        (json.dumps(chat()).encode(), {"content-type": "multipart/form-data; boundary=x"}),
        (json.dumps(chat()).encode("utf-16"), {}),
        (b'{"model": "gpt-4o-mini", "messages": ' + b"[" * 200 + b"]" * 200 + b"}", {}),
        (b'{"model": "gpt-4o-mini", "temperature": NaN}', {}),
        (b'{"model": "gpt-4o-mini", "user": "\\ud800"}', {}),
    ],
)
def test_a_body_with_more_than_one_reading_is_refused_under_a_budget(
    limited: Callable[[str, float], httpx.Client],
    providers: LoopbackProviders,
    content: bytes,
    headers: dict[str, str],
) -> None:
    before = len(providers.requests)
    with limited(f"odd-{abs(hash((content, str(headers))))}", 1.0) as client:
        answer = client.post(
            "/openai/chat/completions",
            content=content,
            headers={"content-type": "application/json"} | headers,
        )
    assert answer.status_code == 400, answer.text
    assert len(providers.requests) == before


@pytest.mark.parametrize(("path", "more"), RUN_BY_THE_PROVIDER)
def test_tools_that_the_provider_runs_and_bills_apart_are_refused_under_a_budget(
    limited: Callable[[str, float], httpx.Client],
    providers: LoopbackProviders,
    path: str,
    more: dict[str, Any],
) -> None:
    body: dict[str, Any] = {"model": "gpt-4o-mini", "input": "hi"} if "openai" in path else gemini()
    if "anthropic" in path:
        body = {
            "model": "claude-sonnet-4-6",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}],
        }
    before = len(providers.requests)
    with limited(f"tools-{abs(hash(str(more)))}", 1000.0) as client:
        answer = client.post(path, json=body | more)
        assert answer.status_code == 403, answer.text
        escapes = client.post(
            path, content=escaped(body | more), headers={"content-type": "application/json"}
        )
        assert escapes.status_code == 403, escapes.text
    assert len(providers.requests) == before


def _most(path: str, body: dict[str, Any]) -> int:
    asked = canonical(
        read_request(find_route("openai", "POST", path, run_mount=False), json.dumps(body).encode()), []
    )
    found = estimate(asked, PRICES)
    assert found is not None
    return found.max_cost


def test_pictures_are_reserved_one_by_one_whatever_the_window_is() -> None:
    one, forty = (_most("/chat/completions", chat(*[picture()] * count)) for count in (1, 40))
    assert forty > 40 * 48_169 * 150_000
    assert one < forty


@pytest.mark.parametrize(
    ("more", "tokens"),
    [
        ({"max_tokens": 50.0}, 50),
        ({"max_tokens": "50"}, 50),
        ({"max_tokens": 20, "max_completion_tokens": 60}, 60),
        ({"max_tokens": None}, 16_384),
        ({"max_tokens": True}, 16_384),
        ({"max_tokens": 16, "n": 3}, 48),
        ({"max_tokens": 16, "n": 3.0}, 48),
        ({"max_tokens": 16, "n": "3"}, 48),
        ({"max_tokens": 16, "N": 3}, 48),
        ({"max_output_tokens": 5, "max_tokens": None}, 16_384),
    ],
)
def test_an_answer_is_bounded_by_what_the_provider_reads_as_a_bound(
    more: dict[str, Any], tokens: int
) -> None:
    body = chat() | more
    asked = canonical(
        read_request(
            find_route("openai", "POST", "/chat/completions", run_mount=False), json.dumps(body).encode()
        ),
        [],
    )
    found = estimate(asked, PRICES)
    assert found is not None
    assert found.output_tokens * found.per_output == tokens * 600_000


def test_a_dearer_tier_is_reserved_as_such() -> None:
    assert _most("/chat/completions", chat(service_tier="priority")) > 1.5 * _most(
        "/chat/completions", chat(service_tier="default")
    )


def form(*parts: bytes, boundary: bytes = b"x") -> bytes:
    return (
        b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    )


MODEL = b'Content-Disposition: form-data; name="model"\r\n\r\ngpt-image-1'
FILE = (
    b'Content-Disposition: form-data; name="image[]"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nPNG'
)
COUNT = b'Content-Disposition: form-data; name="n"\r\n\r\n4'


def test_a_form_is_counted_by_its_fields_and_files() -> None:
    route = find_route("openai", "POST", "/images/edits", run_mount=False)
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    asked = canonical(read_request(route, form(MODEL, FILE, FILE, COUNT)), headers)
    assert (asked.model, asked.files) == ("gpt-image-1", 2)
    found = estimate(asked, PRICES)
    assert found is not None
    assert found.max_cost >= 4 * 6_240 * 40_000_000


@pytest.mark.parametrize(
    "body",
    [
        form(MODEL, MODEL.replace(b"gpt-image-1", b"dear"), FILE),
        form(MODEL, MODEL.replace(b'"model"', b'"Model"'), FILE),
        form(MODEL.replace(b'"model"', b"model"), FILE),
        form(MODEL.replace(b'"model"', b'"model"; name="other"'), FILE),
        form(MODEL + b"\r\nX: y", FILE)[:-4],
        b"preamble" + form(MODEL, FILE),
        form(MODEL, FILE) + b'--x\r\nContent-Disposition: form-data; name="n"\r\n\r\n9\r\n--x--\r\n',
        form(b"Content-Type: text/plain\r\n" + MODEL, FILE),
        json.dumps({"model": "gpt-image-1"}).encode(),
    ],
)
def test_a_form_with_more_than_one_reading_is_refused(body: bytes) -> None:
    route = find_route("openai", "POST", "/images/edits", run_mount=False)
    with pytest.raises(InvalidInput):
        canonical(read_request(route, body), [(b"content-type", b"multipart/form-data; boundary=x")])


def test_names_in_the_schema_of_a_tool_are_no_pictures() -> None:
    schema = {
        "type": "object",
        "properties": {"image_url": {"type": "string"}, "file_id": {"type": "string"}},
    }
    tool = {"type": "function", "function": {"name": "show", "parameters": schema}}
    route = find_route("openai", "POST", "/chat/completions", run_mount=False)
    found = find_inputs(canonical(read_request(route, json.dumps(chat(tools=[tool])).encode()), []))
    assert (found.pictures, found.documents, found.window, found.uncounted) == (0, 0, False, "")


def test_a_list_of_models_is_held_against_the_body_that_is_sent(
    door: Any, providers: LoopbackProviders
) -> None:
    key = door.make_key(owner="listed", models=["gpt-4o-mini"])
    with door.client(key=key) as client:
        raw = '{"model": "gpt-4o", "model": "gpt-4o-mini", "messages": []}'
        before = len(providers.requests)
        answer = client.post(
            "/openai/chat/completions", content=raw, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400, answer.text
        assert len(providers.requests) == before
        assert client.post("/openai/chat/completions", json=chat(model="gpt-4o-mini")).status_code == 200
