"""Decompression: whole answers in every form that servers send, and bounded memory for hostile ones."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.common.inflater import PIECE_BYTES, DamagedCompression, Inflater

PLAIN = b"".join(b"%d " % number for number in range(20_000))


def raw(plain: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(plain) + engine.flush()


def opened(*chunks: bytes, encoding: str = "deflate") -> bytes:
    inflater = Inflater(encoding)
    return b"".join(piece for chunk in chunks for piece in inflater.feed(chunk))


FORMS = {
    "gzip": gzip.compress(PLAIN),
    "several gzip members": b"".join(gzip.compress(PLAIN[at : at + 30_000]) for at in range(0, len(PLAIN), 30_000)),
    "gzip with an empty member": gzip.compress(b"") + gzip.compress(PLAIN),
    "gzip padded with zeros": gzip.compress(PLAIN) + b"\0" * 512,
    "zlib": zlib.compress(PLAIN),
    "zlib with bytes behind it": zlib.compress(PLAIN) + b"\x1f\x8b\x08 not a member of anything",
    "deflate without a header": raw(PLAIN),
}  # fmt: skip


@pytest.mark.requirement("services:caps", "gateway:compressed")
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_body_is_opened_whole_however_it_is_cut(form: str) -> None:
    packed = FORMS[form]
    assert opened(packed) == PLAIN
    assert opened(*(packed[at : at + 1] for at in range(len(packed)))) == PLAIN


@pytest.mark.requirement("gateway:compressed")
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(1, 40))
def test_gzip_members_are_one_body_at_every_cut(members: list[bytes], size: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert opened(*chunks) == b"".join(members)


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_bomb_opens_in_bounded_pieces_and_no_further_than_they_are_taken(
    compress: Callable[[bytes], bytes],
) -> None:
    pieces = Inflater("gzip").feed(compress(b"\0" * (64 << 20)))
    assert len(next(pieces)) <= PIECE_BYTES
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize(
    "packed",
    [
        b"not compressed at all",
        gzip.compress(PLAIN)[:40] + b"\xff" * 40,
        gzip.compress(PLAIN) + b"\x1f\x8b\xff broken member",
    ],
    ids=("no gzip", "damaged member", "damaged second member"),
)
def test_damaged_data_is_no_body(packed: bytes) -> None:
    with pytest.raises(DamagedCompression):
        opened(packed)


@pytest.mark.requirement("services:caps")
@pytest.mark.parametrize("packed", [b"abc", raw(PLAIN)], ids=["text", "deflate without a header"])
def test_only_what_is_called_deflate_may_lack_a_header(packed: bytes) -> None:
    with pytest.raises(DamagedCompression):
        opened(packed, encoding="gzip")
