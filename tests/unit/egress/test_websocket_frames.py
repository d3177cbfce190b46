"""Frames of a websocket, made and read by the `websockets` package's own protocol, passed through in any chunks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from codewords_mcp.runtime.egress.intercept import Credentials, SandboxCredential
from codewords_mcp.runtime.egress.intercept.websocket import (
    FrameReader,
    IncomingFrames,
    OutgoingFrames,
    WebSocketBroken,
)
from codewords_mcp.runtime.secrets.placeholders import new_placeholder
from codewords_mcp.runtime.secrets.rules import make_rule
from codewords_mcp.runtime.secrets.scrub import Scrubber

pytestmark = pytest.mark.requirement("rules:websocket-frames")

VALUE = "sk_live_51/Canary+OnlyTheHostMaySee=This"
CREDENTIAL = SandboxCredential("KEY", new_placeholder(VALUE), VALUE, make_rule(["api.example.com"]))
LABEL = b"[secret KEY]".ljust(len(VALUE), b"*")


def made(*frames: tuple[Opcode, bytes, bool], mask: bool) -> bytes:
    return b"".join(Frame(opcode, data, fin).serialize(mask=mask) for opcode, data, fin in frames)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """What a client reads: whole messages, and control frames where they stand."""
    found: list[tuple[int, bytes]] = []
    opcode, payload = 0, b""
    for piece in FrameReader(masked=False).feed(data):
        if piece.is_control:
            found.append((piece.opcode, piece.payload))
            continue
        opcode = piece.opcode or opcode
        payload += piece.payload
        if piece.end and piece.fin:
            found.append((opcode, payload))
            payload = b""
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, len(VALUE)), max_size=4),
    st.lists(st.integers(1, 40), max_size=12),
    st.booleans(),
)
def test_a_value_that_fragments_and_pings_cut_in_pieces_does_not_come_through(
    fragments: list[int], chunks: list[int], pings: bool
) -> None:
    parts = cut(b"<" + VALUE.encode() + b">", fragments)
    frames: list[tuple[Opcode, bytes, bool]] = []
    for number, part in enumerate(parts):
        frames.append((Opcode.CONT if number else Opcode.TEXT, part, number == len(parts) - 1))
        if pings and number < len(parts) - 1:
            frames.append((Opcode.PING, VALUE.encode(), True))
    incoming = IncomingFrames(Scrubber({"KEY": VALUE}))
    sent = made(*frames, (Opcode.BINARY, b"next", True), mask=False)
    came = messages(b"".join(incoming.feed(chunk) for chunk in cut(sent, chunks)))
    expected = [(9, LABEL)] * (len(parts) - 1 if pings else 0)
    assert came == [*expected, (1, b"<" + LABEL + b">"), (2, b"next")]


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200),
    st.lists(st.integers(1, 70), max_size=8),
    st.lists(st.integers(0, 60), max_size=3),
)
def test_what_the_program_says_goes_on_as_it_came_unless_it_holds_a_placeholder(
    data: bytes, chunks: list[int], fragments: list[int]
) -> None:
    plain = made((Opcode.BINARY, data, True), (Opcode.PONG, data[:125], True), mask=True)
    outgoing = OutgoingFrames(Credentials([CREDENTIAL]))
    assert b"".join(outgoing.feed(chunk) for chunk in cut(plain, chunks)) == plain
    parts = cut(data + CREDENTIAL.placeholder.encode(), fragments)
    held = made(
        *(
            (Opcode.CONT if number else Opcode.TEXT, part, number == len(parts) - 1)
            for number, part in enumerate(parts)
        ),
        mask=True,
    )
    gone: list[bytes] = []
    with pytest.raises(WebSocketBroken, match="holds the placeholder of KEY"):
        gone.extend(outgoing.feed(chunk) for chunk in cut(held, chunks))
    assert not any(CREDENTIAL.placeholder.encode() in piece for piece in gone)


DEFLATE = PerMessageDeflate(False, False, 15, 15)
DEFLATED = Frame(Opcode.TEXT, CREDENTIAL.placeholder.encode(), True)
BAD = {
    "compressed": DEFLATED.serialize(mask=False, extensions=[DEFLATE]),
    "masked": made((Opcode.TEXT, b"x", True), mask=True),
    "unknown": b"\x83\x01x",
    "a long ping": b"\x89\x7e\x00\x80" + b"x" * 128,
    "a ping in pieces": b"\x09\x01x",
    "a continuation of nothing": made((Opcode.CONT, b"x", True), mask=False),
    "a message within another": made((Opcode.TEXT, b"x", False), (Opcode.TEXT, b"x", True), mask=False),
    "a length that is none": b"\x82\x7f" + b"\xff" * 8,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_frame_or_cannot_be_looked_into_ends_it(name: str) -> None:
    with pytest.raises(WebSocketBroken):
        IncomingFrames(Scrubber({"KEY": VALUE})).feed(BAD[name])


def test_a_compressed_placeholder_that_was_not_agreed_does_not_go_out() -> None:
    with pytest.raises(WebSocketBroken, match="compressed"):
        OutgoingFrames(Credentials([CREDENTIAL])).feed(DEFLATED.serialize(mask=True, extensions=[DEFLATE]))


def test_a_frame_of_any_length_passes_in_pieces() -> None:
    size = 1 << 40
    incoming = IncomingFrames(Scrubber({"KEY": VALUE}))
    assert incoming.feed(b"\x82\x7f" + size.to_bytes(8, "big")) == b""
    assert incoming.feed(b"z" * 70_000)[:2] == b"\x02\x7f"  # a fragment
    assert incoming.feed(b"z" * 100)[:2] == b"\x00\x64"
