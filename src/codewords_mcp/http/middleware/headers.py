"""Headers that the HTTP API reads or removes. The runtime filters the others, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from codewords_mcp.errors import InvalidInput

Headers = list[tuple[bytes, bytes]]

CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"x-codewords-api-key", b"x-goog-api-key"})
"""Removed before a workflow sees the request: nothing behind the HTTP API needs the key itself."""

_NAME = re.compile(r"[\x21-\x7e]{1,200}")


def first(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The value of the first header of this lower-case name."""
    for key, value in headers:
        if key == name:
            return value
    return None


def inward(headers: Headers) -> Headers:
    """The caller's headers without its credentials."""
    return [pair for pair in headers if pair[0] not in CREDENTIALS]


def outward(headers: Headers) -> Headers:
    """A workflow's headers without its date: the server that answers adds its own."""
    return [pair for pair in headers if pair[0] != b"date"]


def token(headers: Headers, name: bytes) -> str | None:
    """An id that came in a header: 1 to 200 visible ASCII characters. Raises InvalidInput."""
    value = first(headers, name)
    if value is None:
        return None

    text = value.decode("latin-1").strip()
    if not _NAME.fullmatch(text):
        title = name.decode().title()
        raise InvalidInput(
            f"The header {title} is not an id.",
            hint="Send 1 to 200 visible ASCII characters, or leave it out.",
        )

    return text


def flag(headers: Headers, name: bytes) -> bool:
    """A yes or no that came in a header, no without it. Raises InvalidInput for anything else: a wrong word is no no."""
    value = (first(headers, name) or b"no").decode("latin-1").strip().lower()
    if value in {"yes", "true", "1"}:
        return True
    if value in {"no", "false", "0"}:
        return False
    raise InvalidInput(f"The header {name.decode().title()} is neither yes nor no.")


def number(headers: Headers, name: bytes, *, low: int, high: int, usual: int, whole: bool = False) -> float:
    """A number that came in a header, `usual` without it. Raises InvalidInput."""
    value = first(headers, name)
    if value is None:
        return usual
    with suppress(ValueError):
        found = float(value)
        # NaN fails the comparison, so it needs no check of its own.
        if low <= found <= high and not (whole and found % 1):
            return found
    kind = "whole number" if whole else "number"
    raise InvalidInput(f"The header {name.decode().title()} is not a {kind} from {low} to {high}.")


def content_length(headers: Headers) -> int | None:
    """The declared size of the body in bytes, or None. Servers refuse malformed ones before us."""
    value = first(headers, b"content-length")
    if value is not None and value.isdigit():
        return int(value)
    return None
