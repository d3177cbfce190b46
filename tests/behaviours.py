"""Every promise, with its source: id → (source, one sentence of behaviour). The table is `behaviours.txt`.

Sources, each with the section that asks for it after `#`: `seed` the document the project was made from; `wire` the wire contract of
CodeWords clients; `mcp` the MCP specification (a path below modelcontextprotocol.io/specification, or a proposal's number); `pep` a Python
standard. `ours` is promised beyond them.
A test claims ids with `@pytest.mark.requirement("area:id")`; tests/test_behaviours.py holds both sides to it.
"""

from __future__ import annotations

from pathlib import Path


def _parse(table: str) -> dict[str, tuple[str, str]]:
    rows = (line.split(" | ", 2) for line in table.splitlines() if line)
    return {name: (source, sentence) for name, source, sentence in rows}


BEHAVIOURS = _parse(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8"))
