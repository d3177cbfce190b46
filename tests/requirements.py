"""Every promise, with its source: id → (source, one sentence of behaviour). The table is `requirements.txt`.

Sources: `seed` the document the project was made from; `wire` the wire contract of CodeWords clients; `mcp` the MCP
specification; `pep` a Python standard; `ours` what we promise beyond them.
A test claims ids with `@pytest.mark.requirement("area:id")`; tests/test_requirements.py holds both sides to it.
"""

from __future__ import annotations

from pathlib import Path


def _parse(table: str) -> dict[str, tuple[str, str]]:
    rows = (line.split(" | ", 2) for line in table.splitlines() if line)
    return {one: (source, sentence) for one, source, sentence in rows}


REQUIREMENTS = _parse(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8"))
