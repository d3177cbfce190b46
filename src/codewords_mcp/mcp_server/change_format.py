"""Format the difference that a deploy made, in few lines that a model reads."""

from __future__ import annotations

from typing import Final

from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.runtime.model.workflow import DeployChanges

_LINE: Final = 160
_CODE_LINES: Final = 2
_LIMIT: Final = 1_200


def change_lines(changes: DeployChanges | None) -> list[str]:
    """Code, permissions, behaviour and cost in one block of at most six lines; none where nothing was replaced."""
    if changes is None:
        return []
    parts = [
        f"code: +{changes.lines_added} -{changes.lines_removed} lines{_first_lines(changes.code)}",
        f"permissions: {'; '.join(changes.permissions) or 'unchanged'}",
        f"behaviour: {'; '.join(changes.behaviour)}",
        f"cost: {changes.cost or 'not known, nothing was replayed'}",
    ]
    # All of it is text of the program, or of what it was answered.
    text = "\n".join(one_line(part, _LINE * 2) for part in parts)
    return [fence(f"Beside version {changes.version}", text, _LIMIT)]


def _first_lines(diff: str) -> str:
    changed = [row for row in diff.split("\n") if row.startswith(("+", "-"))]
    shown = [one_line(line, _LINE // 2) for line in changed[:_CODE_LINES]]
    more = " …" if len(changed) > _CODE_LINES else ""
    if not shown:
        return ""
    return f": {' | '.join(shown)}{more}"
