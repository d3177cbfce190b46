"""Practices of good workflows, one short page per topic. A test runs every program in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from codewords_mcp.errors import NotFound

_PAGES = Path(__file__).parent


@cache
def _read() -> dict[str, str]:
    return {page.stem: page.read_text(encoding="utf-8") for page in sorted(_PAGES.glob("*.md"))}


def topics() -> list[str]:
    """All topics, in order."""
    return list(_read())


def practice(topic: str) -> str:
    """The page of a topic. Raises NotFound that lists the topics."""
    page = _read().get(topic)
    if page is None:
        raise NotFound("There is no practice of that name.", hint=f"There are {', '.join(topics())}.")
    return page
