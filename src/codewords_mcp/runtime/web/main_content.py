"""Finds a page's main part: each block of text is weighed by what it is and what is around it, and the rest is removed.

The weights are those of a logistic regression (`main_content.json`), found on public pages whose main text people marked
(`benchmarks/_fit_main_content.py`). They know words of class names, but none of any language's text.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from codewords_mcp.runtime.web.html_element import HtmlElement
from codewords_mcp.runtime.web.page_blocks import INLINE, Features, Part, TextBlock, blocks_of, features_of

FEW_BLOCKS = 40
"""Pages of fewer blocks say too little about themselves to be weighed; their marks and names do."""
_SECTION_TITLES = frozenset({"h2", "h3", "h4", "h5", "h6"})
_LEAST, _MORE_FOR_PROSE = -0.6, 0.8
"""What a block has to weigh, and how much more on a page of much prose: an article's main part is where its paragraphs are."""


@cache
def _weights() -> tuple[float, dict[str, float]]:
    """(the bias, weights by feature)."""
    chosen = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return chosen["bias"], chosen["weights"]


def keep_main_content(body: HtmlElement) -> bool:
    """Remove all but the main part. Returns False, and leaves the page as it is, where none is found."""
    blocks = blocks_of(body)
    if len(blocks) < FEW_BLOCKS:
        return False
    chosen = _choose(blocks, features_of(blocks))
    if not chosen:
        return False
    _prune(body, blocks, chosen)
    return True


def _choose(blocks: list[TextBlock], rows: list[Features]) -> set[Part]:
    """The parts whose own text belongs to the main part."""
    bias, weights = _weights()
    chosen: set[Part] = set()
    for block, row in zip(blocks, rows, strict=True):
        weight = bias + sum(weights.get(name, 0.0) * value for name, value in row.items())
        if weight > _LEAST + _MORE_FOR_PROSE * min(1.0, 2 * row["page prose"]):
            chosen.add(block.part)
    if chosen:
        _keep_title(blocks, chosen)
        _keep_neighbours(blocks, chosen)
        _keep_whole_tables(blocks, chosen)
    return chosen


def _keep_title(blocks: list[TextBlock], chosen: set[Part]) -> None:
    """Keep the one title of a page: sets of main texts leave it out, a reader wants it."""
    titles = [block.part for block in blocks if block.part.element.tag == "h1"]
    if len(titles) == 1:
        chosen.add(titles[0])


def _keep_neighbours(blocks: list[TextBlock], chosen: set[Part]) -> None:
    """Keep code beside kept text, since it looks unlike prose, titles of kept text, and paragraphs between or after kept ones
    of their element.
    """
    for before, block, after in zip([None, *blocks], blocks, [*blocks[1:], None], strict=False):
        beside = [one.part for one in (before, after) if one is not None and one.part in chosen]
        if block.part.element.tag == "pre":
            joined = bool(beside)
        elif block.part.element.tag in _SECTION_TITLES:
            joined = after is not None and after.part in chosen and after.part.above is block.part.above
        else:
            joined = block.is_prose and any(part.above is block.part.above for part in beside)
        if joined:
            chosen.add(block.part)


def _keep_whole_tables(blocks: list[TextBlock], chosen: set[Part]) -> None:
    """Keep a table with headings as a whole, or nothing of it."""
    cells: dict[Part, list[TextBlock]] = {}

    @cache
    def has_headings(table: Part) -> bool:
        return bool(table.element.xpath("./tr/th|./*/tr/th"))

    for block in blocks:
        part: Part | None = block.part
        while part is not None and part.element.tag != "table":
            part = part.above
        if part is not None and has_headings(part):
            cells.setdefault(part, []).append(block)
    for of_table in cells.values():
        joined = sum(len(block.text) for block in of_table if block.part in chosen)
        parts = {block.part for block in of_table}
        if 2 * joined >= sum(len(block.text) for block in of_table):
            chosen |= parts
        else:
            chosen -= parts


def _prune(body: HtmlElement, blocks: list[TextBlock], chosen: set[Part]) -> None:
    """Remove what holds nothing that is chosen, and the own text of what only holds it."""
    lengths: dict[Part, int] = {}
    parts: dict[HtmlElement, Part] = {}
    for block in blocks:
        part: Part | None = block.part
        while part is not None:
            parts[part.element] = part
            lengths[part] = lengths.get(part, 0) + (len(block.text) if block.part in chosen else 0)
            part = part.above

    for element, part in parts.items():
        # All is marked as hidden behind an open dialogue, or until a script has run.
        if 2 * lengths[part] >= lengths[parts[body]]:
            for name in ("aria-hidden", "hidden", "style"):
                element.attrib.pop(name, None)
    for element in list(body.iter()):
        if element is body or not isinstance(element.tag, str):
            continue
        part = parts.get(element)
        if part is not None and not lengths[part]:
            _remove(element)
        elif part is None and element.tag not in INLINE:
            # A picture or a line without text: it belongs to what is chosen around it.
            above = _nearest(element, parts)
            if above is None or 2 * lengths[above] < above.length:
                _remove(element)

    own = {block.part for block in blocks} - chosen
    for part in own:
        if lengths.get(part):
            _clear_own_text(part.element, parts)


def _nearest(element: HtmlElement, parts: dict[HtmlElement, Part]) -> Part | None:
    return next((parts[above] for above in element.iterancestors() if above in parts), None)


def _clear_own_text(element: HtmlElement, parts: dict[HtmlElement, Part]) -> None:
    element.text = None
    for child in list(element):
        child.tail = None
        holds = child in parts or any(below in parts for below in child.iter())
        if not holds:
            element.remove(child)
        elif child not in parts:
            _clear_own_text(child, parts)


def _remove(element: HtmlElement) -> None:
    """Remove an element but not the text after it."""
    if element.getparent() is not None:
        element.drop_tree()
