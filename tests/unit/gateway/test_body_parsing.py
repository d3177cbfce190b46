"""A body is parsed a second time only where its bytes leave a doubt, and no doubt passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.common.bounded_json import MAX_DEPTH, parse
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway import inputs
from codewords_mcp.runtime.gateway.canonical import canonical
from codewords_mcp.runtime.gateway.providers import find_route
from codewords_mcp.runtime.gateway.request_facts import RequestFacts, read_request

pytestmark = [pytest.mark.requirement("gateway:one-meaning")]
ROUTE = find_route("openai", "POST", "/chat/completions", run_mount=False)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)  # fmt: skip
ENCODERS = (
    json.JSONEncoder(separators=(",", ":"), ensure_ascii=False),
    json.JSONEncoder(),
    json.JSONEncoder(ensure_ascii=False),
    json.JSONEncoder(indent=2),
)


def settle(body: bytes) -> RequestFacts:
    return canonical(read_request(ROUTE, body), [(b"content-type", b"application/json")])


@given(VALUES)
def test_a_value_is_sent_in_one_form_however_it_was_encoded(value: Any) -> None:
    body = {"model": "gpt-4o-mini", "metadata": value}
    settled = [settle(encoder.encode(body).encode()) for encoder in ENCODERS]
    assert len({one.body for one in settled}) == 1
    assert json.loads(settled[0].body) == body
    assert all(one.parsed == body for one in settled)


@given(VALUES, st.text(), st.sampled_from(ENCODERS), st.integers(0, 3))
def test_a_key_that_is_named_twice_at_any_depth_is_refused_in_every_encoding(
    value: Any, key: str, encoder: json.JSONEncoder, depth: int
) -> None:
    once = encoder.encode({key: value})
    pair = once.strip()[1:-1].strip()
    doubled = f"{{{pair}{encoder.item_separator}{pair}}}"
    for _ in range(depth):
        doubled = f"[{doubled}]"
    name, separator = encoder.encode("model"), encoder.key_separator
    whole = f'{{{name}{separator}"m"{encoder.item_separator}"metadata"{separator}{doubled}}}'
    with pytest.raises(InvalidInput):
        settle(whole.encode())


def spelled(character: str, escape: bool) -> str:
    """A character of a JSON string, plainly where JSON allows that, or by its number."""
    if escape:
        return f"\\u{ord(character):04x}"
    return {'"': '\\"', "\\": "\\\\"}.get(character, character)


SPELLED = st.lists(st.tuples(st.sampled_from('a":\\{}[],nul '), st.booleans()), max_size=6).map(
    lambda pairs: '"' + "".join(spelled(*pair) for pair in pairs) + '"'
)
TEXTS = st.recursive(
    SPELLED | st.sampled_from(["null", "1e400", "NaN", "1.5", "true"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(SPELLED, inner), max_size=3).map(
            lambda pairs: "{" + " ,".join(f"{key} :{value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=8,
)
"""JSON texts in which names and values are spelled in every way, with keys that occur twice."""


@given(TEXTS)
def test_a_body_passes_exactly_where_a_strict_parser_takes_it(text: str) -> None:
    body = f'{{"model": "gpt-4o-mini", "metadata": {text}}}'.encode()
    try:
        strict = parse(body, unique_keys=True)
    except ValueError:
        with pytest.raises(InvalidInput):
            settle(body)
    else:
        settled = settle(body)
        assert settled.parsed == strict == json.loads(settled.body)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("encoder", ENCODERS[:2])
def test_a_number_that_json_does_not_have_is_refused_in_every_encoding(
    number: str, encoder: json.JSONEncoder
) -> None:
    body = encoder.encode({"model": "gpt-4o-mini", "temperature": 4711}).replace("4711", number)
    with pytest.raises(InvalidInput):
        settle(body.encode())


@pytest.mark.parametrize("encoder", ENCODERS)
def test_depth_is_bounded_and_length_is_not(encoder: json.JSONEncoder) -> None:
    value: Any = "deep"
    for _ in range(MAX_DEPTH + 10):
        value = [value]
    with pytest.raises(InvalidInput):
        settle(encoder.encode({"model": "gpt-4o-mini", "metadata": value}).encode())

    chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}] * MAX_DEPTH}
    assert settle(encoder.encode(chat).encode()).parsed == chat


@pytest.mark.parametrize("kind", [None, *sorted(inputs._TEXT_TYPES)])  # pyright: ignore[reportPrivateUsage]
def test_fields_of_text_hold_nothing_that_is_counted(kind: str | None) -> None:
    text = dict.fromkeys(inputs._TEXT, "text") | {"type": kind}  # pyright: ignore[reportPrivateUsage]
    found = inputs.Inputs()

    inputs._note_object(found, text)  # pyright: ignore[reportPrivateUsage]
    inputs._note_top(found, RequestFacts(ROUTE, b"", text, "gpt-4o-mini"))  # pyright: ignore[reportPrivateUsage]

    assert found == inputs.Inputs()
