"""Every promise, with its source: id → (source, one sentence of behaviour). The table is `behaviours.txt`.

A source is `ours`, or names the section that asks for the behaviour: `wire#Routes`. `behaviour_sources.md` lists the sources and
their sections.
A test claims ids with `@pytest.mark.requirement("area:id")`; tests/test_behaviours.py holds both sides to it.
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def _parse(table: str) -> dict[str, tuple[str, str]]:
    rows = (line.split(" | ", 2) for line in table.splitlines() if line)
    return {name: (source, sentence) for name, source, sentence in rows}


def _sections(page: str) -> set[str]:
    """All `source#section` of a page: its second headings, and the lists below each."""
    found: set[str] = set()
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        source, *lines = part.splitlines()
        items = (re.fullmatch(r"- \[?(.*?)\]?(?:\(.*\))?", line) for line in lines)
        found |= {f"{source}#{item[1]}" for item in items if item}
    return found


BEHAVIOURS = _parse((FOLDER / "behaviours.txt").read_text(encoding="utf-8"))
SECTIONS = _sections((FOLDER / "behaviour_sources.md").read_text(encoding="utf-8"))


def broken_sources(rows: dict[str, tuple[str, str]], sections: set[str]) -> list[str]:
    """The ids whose source is neither ours nor a section that is listed."""
    return [name for name, (source, _) in rows.items() if source != "ours" and source not in sections]
