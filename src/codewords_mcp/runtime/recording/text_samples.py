"""Texts that differ from run to run, aligned word by word: what stays alike must stay, what varies may vary alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

Judgement = Literal["noise", "difference", "unknown"]

_PIECE: Final = re.compile(r"[\w-]+|[^\w-]")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}", re.ASCII)
_PIECE_OR_BASE64: Final = re.compile(
    rf"(?<![\w+/=-]){_BASE64.pattern}(?![\w+/=-])|{_PIECE.pattern}", re.ASCII
)
_DIGIT: Final = re.compile(r"[0-9]")
_CLASSES: Final = tuple(
    re.compile(pattern) for pattern in ("[a-f]", "[g-z]", "[A-F]", "[G-Z]", "[0-9]", "[_-]", "[^\\w-]")
)
_MAX_TEXT: Final = 1 << 16
"""Characters of a text that is aligned."""


def judge_aligned(after: str, samples: Sequence[str]) -> Judgement:
    """The meaning of a text, by texts that other runs had in its place.

    "unknown" if words of a language vary, or the number of pieces does.
    """
    if max(map(len, (after, *samples))) > _MAX_TEXT:
        return "unknown"
    rows = [_PIECE.findall(one) for one in samples]
    pieces = _PIECE.findall(after)
    if len({len(row) for row in rows}) > 1:
        # Signs of base64 would be pieces: as many as chance wants.
        rows = [_PIECE_OR_BASE64.findall(one) for one in samples]
        pieces = _PIECE_OR_BASE64.findall(after)
    if len({len(row) for row in rows}) > 1:
        return "unknown"
    if len(pieces) != len(rows[0]):
        return "difference"

    found: set[Judgement] = {
        _judge_piece(piece, set(column))
        for piece, column in zip(pieces, zip(*rows, strict=True), strict=True)
    }
    if "difference" in found:
        return "difference"
    return "unknown" if "unknown" in found else "noise"


def _judge_piece(piece: str, known: set[str]) -> Judgement:
    if piece in known:
        return "noise"
    # A piece that never differed is the program's own text.
    if len(known) == 1:
        return "difference"
    if not any(map(_has_letters, known)):
        return _judge_number(piece, known)
    # Whether another word means the same is nothing that its form tells.
    if not any(map(_is_made_up, known)):
        return "unknown"

    lengths = {len(one) for one in known}
    if all(map(_BASE64.fullmatch, (piece, *known))) and any(map(_has_signs, (piece, *known))):
        if len(piece) in lengths:
            return "noise"
        return "difference"
    if len(lengths) == 1 and len(piece) not in lengths:
        return "difference"
    if _classes(piece) <= set().union(*map(_classes, known)):
        return "noise"
    return "difference"


def _judge_number(piece: str, known: set[str]) -> Judgement:
    if piece.isdigit() and all(map(str.isdigit, known)):
        return "noise"
    if _DIGIT.sub("9", piece) in {_DIGIT.sub("9", one) for one in known}:
        return "noise"
    return "difference"


def _has_signs(piece: str) -> bool:
    return any(sign in piece for sign in "+/=")


def _has_letters(piece: str) -> bool:
    return any(map(str.isalpha, piece))


def _is_made_up(piece: str) -> bool:
    """Whether a piece is no word: it has digits, or letters of both cases within."""
    if any(map(str.isdigit, piece)):
        return True
    inner = piece[1:]
    return inner != inner.lower() and inner != inner.upper()


def _classes(piece: str) -> set[int]:
    return {at for at, pattern in enumerate(_CLASSES) if pattern.search(piece)}
