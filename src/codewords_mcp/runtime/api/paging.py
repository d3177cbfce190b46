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
        raise InvalidInput(
            "This cursor is not one that a list gave.", hint="Use next_cursor as it came, or leave it out."
        )
    return int(micros), item
