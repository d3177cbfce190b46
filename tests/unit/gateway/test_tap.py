"""The tap: whatever the pieces, it passes the same bytes on and finds the same usage; only what we asked for goes."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import tracemalloc
from typing import Any

import pytest
import structlog.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from codewords_mcp.common.inflater import PIECE_BYTES
from codewords_mcp.runtime.gateway.decompression import DECOMPRESSORS
from codewords_mcp.runtime.gateway.frame_tap import FrameTap
from codewords_mcp.runtime.gateway.providers import Flavor, find_route
from codewords_mcp.runtime.gateway.reading import Reading
from codewords_mcp.runtime.gateway.request_facts import read_request
from codewords_mcp.runtime.gateway.tap import CompressedTap, PlainTap, StreamTap, Tap, tap_for
from codewords_testing.providers import Request, anthropic, gemini, openai
from codewords_testing.providers.server import ENCODINGS

pytestmark = pytest.mark.requirement("gateway:metering")
PLACES: dict[Flavor, str] = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "generate": "/v1beta/models/gemini-2.5-flash-c5:streamGenerateContent",
}


def stream(flavor: Flavor, **more: Any) -> bytes:
    """A whole stream of a stand-in."""
    asked: dict[str, Any] = {"model": "gpt-4o-mini-c5", "stream": True, "messages": []}
    body = asked | more
    request = Request("POST", PLACES[flavor], "alt=sse", {}, json.dumps(body).encode())
    if flavor == "generate":
        reply = gemini.answer(request, gemini.Files())
    else:
        reply = (anthropic if flavor == "messages" else openai).answer(request)
    assert reply.stream is not None
    return b"".join(reply.stream)


def played(
    flavor: Flavor, pieces: list[bytes], *, strip: bool = False, encoding: str = ""
) -> tuple[bytes, Reading]:
    tap = tap_for(flavor, "text/event-stream", encoding, strip=strip)
    passed = b"".join([tap.feed(piece) for piece in pieces] + [tap.rest()])
    return passed, tap.read()


def cut(data: bytes, at: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in itertools.pairwise(marks)]


@settings(max_examples=120)
@given(st.sampled_from(sorted(PLACES)), st.lists(st.integers(0, 1 << 20), max_size=30))
def test_any_pieces_pass_unchanged_and_tell_the_same_usage(flavor: Flavor, at: list[int]) -> None:
    whole = stream(flavor, stream_options={"include_usage": True})
    passed, reading = played(flavor, cut(whole, at))
    assert passed == whole
    assert reading.tokens is not None
    assert (reading.tokens["output_tokens"], reading.whole) == (12 if flavor == "generate" else 5, True)


@settings(max_examples=120)
@given(st.lists(st.integers(0, 1 << 20), max_size=30))
def test_what_we_asked_for_is_taken_out_so_that_the_caller_gets_its_own_stream(at: list[int]) -> None:
    route = find_route("openai", "POST", "/chat/completions", run_mount=False)
    asked = read_request(route, b'{"model":"gpt-4o-mini-c5","stream":true, "messages":[]}')
    assert asked.hides_usage
    assert asked.body_with_usage() == b'{"stream_options":{"include_usage":true},' + asked.body[1:]
    told, silent = stream("chat", stream_options={"include_usage": True}), stream("chat")
    passed, reading = played("chat", cut(told, at), strip=True)
    assert passed == silent
    assert reading.tokens is not None


def test_options_that_were_given_are_kept_beside_ours() -> None:
    route = find_route("openai", "POST", "/chat/completions", run_mount=False)
    for options in ({"include_obfuscation": False}, {"include_usage": False}, None):
        body = json.dumps({"model": "m", "stream": True, "stream_options": options}).encode()
        asked = read_request(route, body)
        assert asked.hides_usage
        assert json.loads(asked.body_with_usage())["stream_options"] == (options or {}) | {
            "include_usage": True
        }
    assert not read_request(route, b'{"stream":true,"stream_options":{"include_usage":true}}').hides_usage
    assert not read_request(route, b'{"stream":false}').hides_usage
    assert not read_request(route, b"not json").hides_usage


def test_text_that_looks_like_usage_is_text() -> None:
    event = b'data: {"choices":[{"delta":{"content":"say \\"usage\\": {\\"prompt_tokens\\": 9}"}}]}\n\n'
    passed, reading = played("chat", [event], strip=True)
    assert (passed, reading.tokens, reading.events) == (event, None, 1)


@pytest.mark.parametrize("flavor", ["messages", "generate", "chat"])
def test_a_stream_that_ends_early_tells_its_first_word_at_the_most(flavor: Flavor) -> None:
    whole = stream(flavor, stream_options={"include_usage": True})
    _, reading = played(flavor, [whole[: len(whole) // 2]])
    assert not reading.whole
    assert reading.events > 0
    assert (reading.tokens is None) == (flavor == "chat")


def test_usage_told_twice_counts_once_and_the_last_word_holds() -> None:
    whole = stream("chat", model="gpt-4o-mini-c5-twice", stream_options={"include_usage": True})
    assert whole.count(b'"prompt_tokens"') == 2
    _, reading = played("chat", [whole])
    assert reading.tokens is not None
    assert reading.tokens["output_tokens"] == 5


@pytest.mark.requirement("gateway:compressed")
@pytest.mark.parametrize("encoding", ["deflate", "gzip"])
@pytest.mark.parametrize("flavor", sorted(PLACES))
def test_a_compressed_answer_is_read_beside_being_passed_on(flavor: Flavor, encoding: str) -> None:
    squeezed = ENCODINGS[encoding](stream(flavor, stream_options={"include_usage": True}))
    passed, reading = played(flavor, cut(squeezed, [1, 7, 50, 100]), encoding=encoding.upper(), strip=True)
    assert (passed, reading.whole) == (squeezed, True)
    assert reading.tokens is not None
    passed, reading = played(flavor, [b"not compressed at all"] * 2, encoding=encoding)
    assert (passed, reading.tokens) == (b"not compressed at all" * 2, None)


@pytest.mark.requirement("gateway:compressed")
def test_an_answer_that_opens_to_very_much_is_opened_in_pieces() -> None:
    response = b'{"data":"' + b"x" * (40 << 20) + b'","usage":{"prompt_tokens":7,"completion_tokens":2}}'
    for encoding in ("deflate", "gzip"):
        measured = Measuring()
        CompressedTap(measured, DECOMPRESSORS[encoding]()).feed(ENCODINGS[encoding](response))
        assert measured.read().tokens == {"input_tokens": 7, "output_tokens": 2}
        assert max(measured.sizes) <= PIECE_BYTES
        assert sum(measured.sizes) == len(response)


class Measuring:
    """A tap that notes the sizes of its pieces."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._inner = PlainTap("chat")

    def feed(self, chunk: bytes) -> bytes:
        self.sizes.append(len(chunk))
        return self._inner.feed(chunk)

    def rest(self) -> bytes:
        return self._inner.rest()

    def read(self) -> Reading:
        return self._inner.read()


def test_several_gzip_members_are_one_answer_and_an_unknown_encoding_passes() -> None:
    whole = stream("messages")
    squeezed = gzip.compress(whole[:500]) + gzip.compress(whole[500:])
    assert played("messages", [squeezed], encoding="gzip")[1].whole
    assert played("messages", [whole], encoding="compress") == (whole, Reading())


@pytest.mark.requirement("gateway:compressed")
def test_an_answer_in_brotli_passes_unread_and_the_log_says_so_once() -> None:
    squeezed = ENCODINGS["br"](stream("messages"))
    with structlog.testing.capture_logs() as logged:
        assert played("messages", cut(squeezed, [1, 50]), encoding="br") == (squeezed, Reading())
    (entry,) = logged
    assert entry["event"].endswith("usage estimated")


def test_a_long_plain_answer_is_read_at_its_end_without_being_kept() -> None:
    response = b'{"data":"' + b"x" * (5 << 20) + b'","usage":{"prompt_tokens":7,"completion_tokens":2}}'
    tap = tap_for("chat", "application/json", "", strip=False)
    assert (
        b"".join(tap.feed(piece) for piece in cut(response, list(range(0, len(response), 65536)))) == response
    )
    reading = tap.read()
    assert reading.whole
    assert reading.tokens == {"input_tokens": 7, "output_tokens": 2}


def test_geminis_list_of_answers_is_read_too() -> None:
    request = Request("POST", PLACES["generate"], "", {}, b"{}")
    reply = gemini.answer(request, gemini.Files())
    tap = tap_for("generate", "application/json; charset=UTF-8", "", strip=False)
    for piece in reply.stream or []:
        tap.feed(piece)
    assert (tap.read().tokens or {})["output_tokens"] == 12


def test_of_two_null_fields_in_one_event_only_the_first_goes() -> None:
    """A field of the same name deeper in an event is the provider's own."""
    usual = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'
    twice = b'data: {"choices":[{"x":1,"usage":null}],"usage":null}\n\n'
    spaced = b'data: {"usage" : null, "choices": [{}]}\n\n'
    passed, _ = played("chat", [usual + twice + usual + spaced], strip=True)

    kept = usual.replace(b',"usage":null', b"")
    assert passed == (
        kept + b'data: {"choices":[{"x":1}],"usage":null}\n\n' + kept + b'data: { "choices": [{}]}\n\n'
    )


_PIECE = b'{"choices":[{"delta":{"content":"a"}}]'
_EVENTS = [
    _PIECE + b',"usage":null}',
    _PIECE + b',"usage":null,"obfuscation":"x"}',
    _PIECE + b', "usage" : null }',
    _PIECE + b"}",
    b'{"choices":[{"x":1,"usage":null}],"usage":null}',
    b'{"choices":[{"x":{"y":1,"usage":null}}]}',
    _PIECE + b',"usage":{"prompt_tokens":1,"completion_tokens":1}}',
    b'{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}',
    b"[DONE]",
]


@given(
    st.lists(st.sampled_from(_EVENTS), min_size=1, max_size=12),
    st.sampled_from([b"\n\n", b"\r\n\r\n"]),
    st.lists(st.integers(0, 1200), max_size=4),
)
def test_events_that_are_edited_at_once_are_edited_as_one_by_one(
    events: list[bytes], separator: bytes, cuts: list[int]
) -> None:
    whole = b"".join(b"data: " + event + separator for event in events)
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    passed, reading = played("chat", [whole[a:b] for a, b in itertools.pairwise(places)], strip=True)

    kept = [event for event in events if not event.startswith(b'{"choices":[],')]
    null = re.compile(rb',\s*"usage"\s*:\s*null')
    assert passed == b"".join(b"data: " + null.sub(b"", event, count=1) + separator for event in kept)
    reports = [event for event in events if b'"usage":{' in event]
    last = json.loads(reports[-1])["usage"]["prompt_tokens"] if reports else None
    assert (reading.tokens or {}).get("input_tokens") == last


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 3, 9_000])
def test_a_long_event_in_any_pieces_passes_whole_and_is_read(end: bytes, size: int) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}' + end
    content = b'data: {"choices":[{"delta":{"content":"' + b"x" * 40_000 + b'"}}],"usage":null}' + end
    data = content + content + usage
    for strip in (False, True):
        # The parts of a separator come in different chunks, too.
        starts = [0, *range(len(content) - 9, len(data), size)]
        pieces = [data[a:b] for a, b in itertools.pairwise([*starts, len(data)])]
        passed, reading = played("chat", pieces, strip=strip)
        assert passed == (data.replace(b',"usage":null', b"").replace(usage, b"") if strip else data)
        assert (reading.tokens, reading.events) == ({"input_tokens": 3, "output_tokens": 4}, 3)


@pytest.mark.requirement("gateway:reads-once")
@pytest.mark.parametrize("tap", [StreamTap("chat", strip=True), FrameTap("messages")])
def test_an_event_that_never_ends_is_not_read_again_with_each_chunk(tap: Tap) -> None:
    """Joined and searched anew with each chunk, this line took the event loop minutes."""
    frame = (20 << 20).to_bytes(4) + bytes(8)
    tap.feed(frame if isinstance(tap, FrameTap) else b"data: ")
    chunk = b"x" * 1000
    tracemalloc.start()
    try:
        for _ in range(10_000):
            tap.feed(chunk)
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        tap.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 1 << 20, "a chunk costs no copy of all that came before"
