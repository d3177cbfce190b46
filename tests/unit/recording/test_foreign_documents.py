"""Documents from outside: bounded, refused in a sentence that repeats none of their text, and sent again only as HTTP can be."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import h11
import pytest
from tests.unit.recording.helpers import exchange, recording, request

from codewords_mcp.runtime.recording.codec import DamagedRecording
from codewords_mcp.runtime.recording.document import MAX_BYTES, MAX_VALUES, read_document, to_document
from codewords_mcp.runtime.recording.exchanges import RecordedRequest, UnreadConnection
from codewords_mcp.runtime.recording.recorder import RecordedResponse
from codewords_mcp.runtime.recording.replay import ReplayRecorder

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("recording:foreign")]

PAGE = request("GET", "https://a.example/page")
EVIL = "\x1b[2J<script>alert(1)</script>\u202e"
WHOLE = replace(
    recording(exchange(0, PAGE, b"body")), connections=(UnreadConnection("db", 5432, 0, 1, 2, 3, "tcp"),)
)
Document = dict[str, Any]


def document() -> Document:
    return json.loads(json.dumps(to_document(WHOLE)))


def within(*path: str | int) -> Callable[[Any], Document]:
    """Put a value there in a document."""

    def put(value: Any) -> Document:
        changed = document()
        inner: Any = changed
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value
        return changed

    return put


answer = ("exchanges", 0, "response")
REFUSED: dict[str, tuple[Document, str]] = {
    "another format": (within("format")(2), "it has format 2, and this version reads format 1"),
    "a format of text": (within("format")(EVIL), "it has another format"),
    "another kind": (within("kind")(EVIL), "no recording"),
    "a million requests": (within("exchanges")([{}] * 1_000_000), "more than 2,000,000 values"),
    "too many requests": (within("exchanges")([{}] * 2001), "more than 2,000 requests"),
    "connections": (within("connections")([{}] * 501), "more than 500 connections"),
    "headers": (within("exchanges", 0, "headers")([["a", "b"]] * 2001), "more than 2,000 headers"),
    "pieces": (within(*answer, "chunks")([[0, 0]] * 5000), "more than 4,096 pieces"),
    "a long body": (within(*answer, "body")("x" * (1 << 20) + "x"), "longer than 1 MiB"),
    "a negative piece": (within(*answer, "chunks")([[0, -4], [0, 8]]), "a number"),
    "a huge size": (within(*answer, "size")(10**300), "a number"),
    "a huge version": (within("version")(1 << 40), "a number"),
    "a time after all dates": (within("created_at")(10**18), "a number"),
    "an endless time": (within("seconds")(1e300), "a number"),
    "a port": (within("connections", 0, "port")(70_000), "a number"),
    "a channel": (within("exchanges", 0, "channel")(EVIL), "none of egress, gateway, call"),
    "an object for a list": (within("exchanges")({EVIL: EVIL}), "not as it should be"),
    "no base64": (within("request", "body")({"base64": EVIL}), "not as it should be"),
    "no header": (within("request", "headers")([["a"]]), "not as it should be"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_document_beyond_the_bounds_is_refused_without_its_text(name: str) -> None:
    changed, reason = REFUSED[name]
    with pytest.raises(DamagedRecording, match=reason) as caught:
        read_document(json.dumps(changed).encode())
    assert "script" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON, or cut off"),
        (json.dumps(document()).encode()[:-20], "cut off"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 1000 + b"]" * 1000, "levels"),
        (b" " * (MAX_BYTES + 1), "longer than 48 MiB"),
        (b'{"kind": "a", "kind": "b"}', "twice"),
        (b'{"version": NaN}', "NaN"),
    ],
)
def test_bytes_that_are_no_document_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DamagedRecording, match=reason):
        read_document(data)


@pytest.mark.parametrize("value", [b"{}", b"[]", b"0", b'["a,b"]'])
@pytest.mark.slow
def test_many_small_values_are_refused_before_they_are_parsed(value: bytes) -> None:
    data = b'{"exchanges": [' + b",".join([value] * (MAX_VALUES + 1)) + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(DamagedRecording, match="more than 2,000,000 values"):
            read_document(data)
        # Parsed, they would take a hundred times as much.
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


def test_text_with_brackets_and_commas_counts_as_one_value() -> None:
    changed = within("exchanges", 0, "body")('{"a": [1, 2]}, \\" ' * 50_000)
    found = read_document(json.dumps(changed | {"exchanges": changed["exchanges"] * 5}).encode())
    assert len(found.exchanges) == 5


def test_what_is_read_keeps_odd_text_as_data() -> None:
    changed = within("exchanges", 0, "note")(EVIL * 100)
    found = read_document(json.dumps(changed).encode())
    assert found.exchanges[0].note == (EVIL * 100)[:500]
    assert found.exchanges[0].body == b"body"


async def answered(recorder: ReplayRecorder, asked: RecordedRequest) -> bytes:
    """The answer as a host would send it. Fails where it is no HTTP."""
    verdict = await recorder.decide(asked)
    assert isinstance(verdict, RecordedResponse), verdict
    server = h11.Connection(h11.SERVER)
    server.receive_data(f"{asked.method} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    server.next_event()
    server.next_event()
    sent = server.send(h11.Response(status_code=verdict.status, headers=verdict.headers)) or b""
    async for piece in verdict.pieces:
        sent += server.send(h11.Data(data=piece)) or b""
    return sent + (server.send(h11.EndOfMessage()) or b"")


async def test_an_edited_answer_is_replayed_with_its_own_length_and_only_headers_that_can_be_sent() -> None:
    edited = within(*answer, "body")("a longer body")
    edited["exchanges"][0]["response"]["headers"] = [
        ["content-length", "4"],
        ["x-split", "a\r\nx-injected: 1"],
        ["bad name", "a"],
        ["x-good", "kept"],
    ]
    sent = await answered(ReplayRecorder(read_document(json.dumps(edited).encode())), PAGE)
    assert b"a longer body" in sent
    assert b"kept" in sent
    assert b"injected" not in sent


async def test_an_answer_with_a_status_that_is_none_is_not_given() -> None:
    for status in (0, 42, 101):
        changed = within(*answer, "status")(status)
        verdict = await ReplayRecorder(read_document(json.dumps(changed).encode())).decide(PAGE)
        assert not isinstance(verdict, RecordedResponse)


async def test_the_length_of_what_a_head_asks_about_stays() -> None:
    head = request("HEAD", "https://a.example/page")
    made = recording(replace(exchange(0, head, b""), headers=[(b"content-length", b"7")]))
    assert b"content-length: 7" in (await answered(ReplayRecorder(made), head)).lower()
