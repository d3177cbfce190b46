"""Values of secrets in output."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.secrets import Scrubber

KEY = "sk-live/4fQ+9z=ü&x\"y\\z'"
LONG = "".join(f"{number:04x}" for number in range(3000))
PEM = (
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n"
    "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu\n"
    "-----END PRIVATE KEY-----"
)


def whole(scrubber: Scrubber, data: bytes) -> bytes:
    return scrubber.feed(data) + scrubber.flush()


def in_pieces(scrubber: Scrubber, data: bytes, size: int) -> bytes:
    pieces = [scrubber.feed(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join(pieces) + scrubber.flush()


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 after one byte": lambda value: base64.b64encode(b"a" + value.encode()).decode(),
    "base64 after two bytes": lambda value: base64.b64encode(b"ab" + value.encode()).decode(),
    "base64 of user:password": lambda value: base64.b64encode(b"user:" + value.encode()).decode(),
    "base64 between others": lambda value: base64.b64encode(b"abcd" + value.encode() + b"efgh").decode(),
    "base64url unpadded": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
    "hex": lambda value: value.encode().hex(),
    "HEX": lambda value: value.encode().hex().upper(),
    "URL": lambda value: quote(value, safe=""),
    "URL path": quote,
    "URL form": quote_plus,
    "URL in lower case": lambda value: (
        quote(value, safe="")
        .replace("%2F", "%2f")
        .replace("%C3%BC", "%c3%bc")
        .replace("%2B", "%2b")
        .replace("%3D", "%3d")
        .replace("%5C", "%5c")
    ),
    "JSON": json.dumps,
    "JSON as text": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON with escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"key": value})),
    "repr": repr,
    "repr of bytes": lambda value: repr(value.encode()),
    "HTML": html.escape,
}


@pytest.mark.requirement("secrets:scrub-forms")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [KEY, "abc123", "p@ss word", "ключ-секрет", LONG])
def test_a_value_is_replaced_in_each_form_whatever_the_chunks(form: str, value: str) -> None:
    shown = FORMS[form](value)
    data = f"before {shown} after".encode()
    expected = whole(Scrubber({"MY_KEY": value}), data)
    assert b"[secret MY_KEY]" in expected
    assert expected.startswith(b"before ")
    assert expected.endswith(b" after")
    left = expected.replace(b"[secret MY_KEY]", b"")
    assert len(left) <= len(b"before  after") + 24  # what the form adds, and digits shared with neighbours
    for size in (1, 7, 300):
        assert in_pieces(Scrubber({"MY_KEY": value}), data, size) == expected


@pytest.mark.requirement("secrets:scrub-stream")
def test_text_is_not_held_back_unless_it_could_begin_a_value() -> None:
    scrubber = Scrubber({"K": "swordfish"})
    assert scrubber.feed(b"nothing here\n") == b"nothing here\n"
    assert scrubber.feed(b"the sword") == b"the "
    assert scrubber.feed(b"s are sharp") == b"swords are sharp"
    assert scrubber.feed(b"the sword") == b"the "
    assert scrubber.feed(b"fish!") == b"[secret K]!"
    assert scrubber.feed(b"swo") == b""
    assert scrubber.flush() == b"swo"
    assert scrubber.flush() == b""


@pytest.mark.requirement("secrets:scrub-stream")
def test_a_value_that_begins_another_waits_for_the_longer_one() -> None:
    scrubber = Scrubber({"SHORT": "abcdef", "LONG": "abcdefghij"})
    assert scrubber.feed(b"abcdef") == b""
    assert scrubber.feed(b"ghij abcdef ") == b"[secret LONG] [secret SHORT] "
    assert scrubber.flush() == b""


@pytest.mark.requirement("secrets:scrub-stream")
def test_values_back_to_back_are_each_replaced() -> None:
    data = b"swordfish" * 10_000
    assert in_pieces(Scrubber({"K": "swordfish"}), data, 4096) == b"[secret K]" * 10_000


@pytest.mark.requirement("secrets:scrub-stream")
def test_a_long_value_is_dropped_as_it_comes_and_a_cut_one_too() -> None:
    scrubber = Scrubber({"BIG": LONG})
    assert scrubber.feed(b"x" + LONG[:5000].encode()) == b"x[secret BIG]"
    assert scrubber.feed(LONG[5000:].encode()) == b""
    assert scrubber.feed(b"y" + LONG[:600].encode()) == b"y[secret BIG]"
    assert scrubber.feed(b" other") == b" other"
    assert scrubber.flush() == b""


@pytest.mark.requirement("secrets:scrub-forms")
def test_a_key_of_several_lines_is_replaced_line_by_line_too() -> None:
    scrubber = Scrubber({"PEM": PEM})
    assert whole(scrubber, PEM.encode()) == b"[secret PEM]"
    assert whole(scrubber, PEM.replace("\n", "\r\n").encode()) == b"[secret PEM]"
    assert whole(scrubber, json.dumps({"pem": PEM}).encode()) == b'{"pem": "[secret PEM]"}'
    logged = "".join(f"INFO {line}\n" for line in PEM.splitlines())
    assert whole(scrubber, logged.encode()) == (
        b"INFO -----BEGIN PRIVATE KEY-----\nINFO [secret PEM]\nINFO [secret PEM]\nINFO -----END PRIVATE KEY-----\n"
    )


@pytest.mark.requirement("secrets:scrub-short")
def test_short_values_and_no_values_leave_everything_as_it_is() -> None:
    scrubber = Scrubber({"FLAG": "true", "PORT_NUMBER": "54321"})
    assert not scrubber
    data = b"true 54321"
    assert scrubber.feed(data) is data
    assert scrubber.flush() == b""
    assert scrubber.text("true") == "true"
    value: JsonValue = {"a": [True, 54321]}
    assert scrubber.json(value) is value
    assert Scrubber({"K": "123456"})


@pytest.mark.requirement("secrets:scrub-json")
def test_json_is_scrubbed_in_strings_keys_and_numbers_and_stays_json() -> None:
    scrubber = Scrubber({"K": 'a"b\\c/d', "N": "123456"})
    value: JsonValue = {'a"b\\c/d': ['x a"b\\c/d y', 123456, 123457, 1.5, True, None, {"n": "123456"}]}
    assert scrubber.json(value) == {
        "[secret K]": ["x [secret K] y", "[secret N]", 123457, 1.5, True, None, {"n": "[secret N]"}]
    }


@pytest.mark.requirement("secrets:scrub-json")
def test_json_nested_without_end_is_cut_and_says_so() -> None:
    value: list[JsonValue] = []
    for _ in range(900):
        value = [value]
    assert "[nested too deeply to scrub]" in str(Scrubber({"K": "123456"}).json(value))


@pytest.mark.requirement("secrets:scrub-stream")
def test_another_stream_has_the_same_values_and_its_own_place() -> None:
    first = Scrubber({"K": "swordfish"})
    second = first.another()
    assert first.feed(b"sword") == b""
    assert second.feed(b"fish ") == b"fish "
    assert second.text("swordfish") == "[secret K]"
    assert first.feed(b"fish") == b"[secret K]"


@pytest.mark.requirement("secrets:scrub-stream")
@settings(max_examples=200)
@given(st.data())
@pytest.mark.slow
def test_any_chunks_give_what_the_whole_gives_and_no_value_is_left(data: st.DataObject) -> None:
    alphabet = st.text(alphabet="ab%=", min_size=6, max_size=12)
    values = data.draw(st.dictionaries(st.sampled_from(["A", "B", "C"]), alphabet, min_size=1))
    parts = st.one_of(st.text(alphabet="ab%= \n", max_size=12), st.sampled_from(sorted(values.values())))
    output = "".join(data.draw(st.lists(parts, max_size=12))).encode()
    sizes = data.draw(st.lists(st.integers(1, 9), max_size=40))
    scrubber = Scrubber(values)
    streamed, rest = b"", output
    for size in sizes:
        streamed += scrubber.feed(rest[:size])
        rest = rest[size:]
    streamed += scrubber.feed(rest) + scrubber.flush()
    assert streamed == whole(Scrubber(values), output)
    for piece in streamed.replace(b"[secret ", b"\0").replace(b"]", b"\0").split(b"\0"):
        assert not any(value.encode() in piece for value in values.values())


@pytest.mark.requirement("secrets:scrub-stream")
@given(st.binary(max_size=400), st.integers(1, 50))
def test_output_without_values_comes_out_as_it_went_in(data: bytes, size: int) -> None:
    assert in_pieces(Scrubber({"K": "not-in-there-at-all-0123456789"}), data, size) == data


@pytest.mark.requirement("secrets:scrub-text")
@given(st.text(max_size=60))
def test_text_of_any_kind_survives(text: str) -> None:
    scrubber = Scrubber({"K": "swordfish"})
    assert scrubber.text(text) == text
    assert scrubber.text(f"{text}swordfish{text}") == f"{text}[secret K]{text}"


@pytest.mark.requirement("secrets:scrub-text")
def test_lone_surrogates_survive() -> None:
    assert Scrubber({"K": "swordfish"}).text("\udcff swordfish \ud800") == "\udcff [secret K] \ud800"
