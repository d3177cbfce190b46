"""Practices: what makes a right workflow, one short page a topic; every program in them runs in a test."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from codewords_mcp.errors import NotFound

_PAGES = Path(__file__).parent


@cache
def _read() -> dict[str, str]:
    return {page.stem: page.read_text(encoding="utf-8") for page in sorted(_PAGES.glob("*.md"))}


def topics() -> list[str]:
    """Every topic, in order."""
    return list(_read())


def practice(topic: str) -> str:
    """The page of a topic. Raises NotFound, naming those there are."""
    page = _read().get(topic)
    if page is None:
        raise NotFound("There is no practice of that name.", hint=f"There are {', '.join(topics())}.")
    return page
