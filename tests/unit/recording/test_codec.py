"""Recordings are read as they were written; other bytes are refused in words."""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.codec import DamagedRecording, decode, encode
from codewords_mcp.runtime.recording.document import from_document, to_document
from codewords_mcp.runtime.recording.exchanges import (
    Exchange,
    RecordedRequest,
    Recording,
    RunMessage,
    UnreadConnection,
)

pytestmark = pytest.mark.requirement("recording:read-back")

headers = st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=3)
ms = st.integers(0, 10**6).map(lambda n: n / 1000)
requests = st.builds(
    RecordedRequest,
    st.sampled_from(["egress", "gateway", "call"]),
    st.sampled_from(["GET", "POST"]),
    st.text(max_size=20),
    headers,
    st.none() | st.binary(max_size=50),
    st.booleans(),
)
usages = st.builds(
    CallUsage, st.dictionaries(st.text(max_size=9), st.integers(0, 2**40), max_size=3),
    st.none() | st.just(0.125), st.booleans(), st.booleans(), st.text(max_size=9),
)  # fmt: skip


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    chunks = tuple(draw(st.lists(st.tuples(ms, st.binary(max_size=20)), max_size=4)))
    return Exchange(
        draw(st.integers(0, 99)),
        draw(requests),
        draw(st.sampled_from(["sent", "answered", "held", "blocked", "unsent"])),
        draw(ms),
        draw(st.none() | ms),
        draw(st.integers(0, 599)),
        draw(headers),
        chunks,
        sum(len(chunk) for _, chunk in chunks),
        draw(st.booleans()),
        draw(st.text(max_size=10)),
        draw(st.none() | usages),
    )


messages = st.builds(
    RunMessage, st.just("POST"), st.text(max_size=9), st.integers(0, 599), headers, st.none() | st.binary()
)
connections = st.builds(
    UnreadConnection, st.text(max_size=9), st.integers(0, 65535), ms, st.none() | ms,
    st.integers(0, 9), st.integers(0, 9), st.text(max_size=9),
)  # fmt: skip
recordings = st.builds(
    Recording,
    st.text(max_size=9), st.text(max_size=9), st.integers(0, 9), st.integers(0, 2**50), st.just("succeeded"),
    messages, messages, st.lists(exchanges(), max_size=4).map(tuple), st.lists(connections, max_size=2).map(tuple),
    st.text(max_size=9), ms, st.just(0.25), st.text(max_size=9),
)  # fmt: skip


@given(recordings)
def test_a_recording_is_read_as_it_was_written(recording: Recording) -> None:
    assert decode(encode(recording)) == recording


@given(recordings)
def test_bodies_that_are_kept_elsewhere_are_put_in_their_places(recording: Recording) -> None:
    elsewhere: dict[str, bytes] = {}

    def keep(body: bytes) -> bytes | str:
        name = str(len(elsewhere))
        elsewhere[name] = body
        return name

    data = encode(recording, keep)
    assert decode(data, elsewhere.get) == recording
    lost = decode(data)
    assert not any(one.whole or one.body for one in lost.exchanges)


@given(recordings, st.data())
def test_a_damaged_one_is_refused_or_reads_as_some_recording(
    recording: Recording, data: st.DataObject
) -> None:
    whole = encode(recording)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(DamagedRecording):
        decode(cut)

    raw = bytearray(zlib.decompress(whole))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DamagedRecording):
        assert isinstance(decode(zlib.compress(bytes(raw))), Recording)


def test_what_would_fill_the_memory_is_not_read() -> None:
    with pytest.raises(DamagedRecording, match="longer"):
        decode(zlib.compress(bytes((64 << 20) + 1)))


@pytest.mark.requirement("recording:exported")
@given(recordings)
def test_an_exported_recording_is_taken_in_as_it_was_but_for_credentials(recording: Recording) -> None:
    brought = from_document(json.loads(json.dumps(to_document(recording))))
    plain = replace(brought, exchanges=())
    assert plain == replace(recording, exchanges=(), request=plain.request, response=plain.response)
    for before, after in zip(recording.exchanges, brought.exchanges, strict=True):
        assert (after.body, after.request.body) == (before.body, before.request.body)
        assert (after.status, after.whole, after.outcome) == (before.status, before.whole, before.outcome)


@pytest.mark.requirement("recording:exported")
def test_an_export_holds_no_credential_and_all_else() -> None:
    request = RecordedRequest(
        "egress", "GET", "https://a.example/v1?api_key=k-111&q=red+hats&token=[secret T]",
        [(b"authorization", b"Bearer k-222"), (b"accept", b"*/*"), (b"x-api-key", b"k-333")], b"", writes=False,
    )  # fmt: skip
    exchange = Exchange(
        0, request, "sent", 0.0, 0.1, 200, [(b"set-cookie", b"sid=k-444"), (b"x-keyboard", b"qwerty")]
    )
    message = RunMessage("POST", "/?signature=k-555&n=1", 0, [(b"cookie", b"k-666")], b"{}")
    recording = Recording("r", "s", 1, 0, "succeeded", message, RunMessage(), (exchange,))
    text = json.dumps(to_document(recording))
    assert not [number for number in range(111, 777, 111) if f"k-{number}" in text]
    for shown in ("q=red", "[secret T]", "*/*", "qwerty", "n=1"):
        assert shown in text


@pytest.mark.requirement("recording:exported")
@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"kind": "another"},
        {"kind": "codewords recording", "format": 99},
        {"kind": "codewords recording", "format": 1},
        {"kind": "codewords recording", "format": 1, "run_id": "r", "exchanges": 5},
    ],
)
def test_a_document_that_is_no_recording_is_refused_in_words(document: Any) -> None:
    with pytest.raises(DamagedRecording, match=r"^(it|a part)"):
        from_document(document)
