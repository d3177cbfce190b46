"""Recordings are read as they were written; other bytes are refused in words."""

from __future__ import annotations

import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.codec import DamagedRecording, decode, encode
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
