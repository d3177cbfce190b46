"""Pages of long lists."""

from __future__ import annotations

from codewords_mcp.errors import InvalidInput

MAX_PAGE = 100


def check_limit(limit: int) -> int:
    """The limit of a page. Raises InvalidInput."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(f"limit is 1 to {MAX_PAGE}.")
    return limit


def parse_cursor(cursor: str | None) -> tuple[int, str] | None:
    """The time in µs and the id that a cursor stands for; None for the first page. Raises InvalidInput."""
    if cursor is None:
        return None
    micros, _, item = cursor.partition(".")
    # `isdecimal` alone accepts digits of other scripts.
    if not (micros.isdecimal() and micros.isascii() and item and len(cursor) < 200):
        raise _wrong_cursor()
    return int(micros), item


def parse_offset(cursor: str | None) -> int:
    """Count the items before a page of a list whose order no column gives; 0 for the first. Raises InvalidInput."""
    if cursor is None:
        return 0
    if not (cursor.isdecimal() and cursor.isascii() and len(cursor) < 10):
        raise _wrong_cursor()
    return int(cursor)


def _wrong_cursor() -> InvalidInput:
    return InvalidInput(
        "This cursor is not one that a list gave.", hint="Use next_cursor as it came, or leave it out."
    )
