"""Pages of long lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.base import Page

MAX_PAGE = 100
T = TypeVar("T")


def cut_page(found: list[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """The page of a list of which one item more than the limit was read: it shows that there is a next page."""
    more = cursor_of(found[limit - 1]) if len(found) > limit else None
    return Page[T](items=found[:limit], next_cursor=more)


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


def parse_name(cursor: str | None) -> str | None:
    """The last name of the page before, of a list by names; None for the first page. Raises InvalidInput."""
    if cursor is not None and not (cursor.isidentifier() and len(cursor) < 200):
        raise _wrong_cursor()
    return cursor


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
