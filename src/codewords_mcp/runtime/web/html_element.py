"""The elements of a parsed page, as lxml has them: it has no types of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol


class HtmlElement(Protocol):
    """An element of a parsed page: the methods of lxml's that are used here."""

    tag: object
    """The name; a function for comments and processing instructions."""
    text: str | None
    tail: str | None
    attrib: dict[str, str]

    def __iter__(self) -> Iterator[HtmlElement]: ...

    def get(self, name: str, default: str = "") -> str:
        """The value of an attribute."""
        ...

    def find(self, path: str) -> HtmlElement | None:
        """The first element at a path."""
        ...

    def findall(self, path: str) -> list[HtmlElement]:
        """All elements at a path."""
        ...

    def xpath(self, path: str) -> list[Any]:
        """The results of an XPath."""
        ...

    def iter(self, *tags: str) -> Iterator[HtmlElement]:
        """The element and all below it, in order."""
        ...

    def itertext(self, *, with_tail: bool) -> Iterator[str]:
        """All text below it."""
        ...

    def iterancestors(self, *tags: str) -> Iterator[HtmlElement]:
        """The elements above it, the nearest first."""
        ...

    def getparent(self) -> HtmlElement | None:
        """The element above it."""
        ...

    def remove(self, element: HtmlElement) -> None:
        """Remove a child with the text after it."""
        ...

    def drop_tree(self) -> None:
        """Remove this element but not the text after it."""
        ...

    def clear(self, *, keep_tail: bool) -> None:
        """Remove attributes, text and children."""
        ...
