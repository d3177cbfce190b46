"""Format the checks of a validation: short, but enough for a model to repair the code."""

from __future__ import annotations

from pydantic import BaseModel

from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import clean, cut, one_line
from codewords_mcp.runtime.model.validation import Check

_SHOWN = 25
_REPORTED = ("failed", "warning", "note")


class CheckItem(BaseModel):
    """A check with the place in the code and what to change there."""

    id: str
    status: str
    message: str
    line: int | None = None
    column: int | None = None
    fix: str | None = None


def check_items(checks: list[Check], *, passed: bool = False) -> list[CheckItem]:
    """Return failures, warnings and notes, in this order; with `passed` the others too; at most 25."""
    reported = [check for check in checks if passed or check.status in _REPORTED]
    reported.sort(key=_severity)
    return [
        CheckItem(
            id=check.id,
            status=check.status,
            message=one_line(check.message, 600),
            line=check.line,
            column=check.column,
            fix=check.fix and cut(clean(worded(check.fix, check.remedy)), 600),
        )
        for check in reported[:_SHOWN]
    ]


def _severity(check: Check) -> int:
    return (*_REPORTED, "skipped", "passed").index(check.status)


def check_lines(checks: list[Check]) -> list[str]:
    """One line a check: `- failed ruff (line 3, column 9): message. Fix: …`."""
    return [_line(item) for item in check_items(checks)]


def capability_lines(capabilities: list[str]) -> list[str]:
    """Format the workflow's permissions as one line; no line if they are unknown."""
    if capabilities:
        return [f"It may, and no more: {'; '.join(capability_list(capabilities))}"]
    return []


def capability_list(capabilities: list[str]) -> list[str]:
    """Return the lines of a manifest without the blanks that align them for people."""
    return [" ".join(line.split()) for line in capabilities]


def _line(item: CheckItem) -> str:
    where = ""
    if item.line is not None:
        where = f" (line {item.line}" + (f", column {item.column})" if item.column is not None else ")")
    if item.message.endswith((".", "!", "?", "…")):
        stop = ""
    else:
        stop = "."
    fix = f" Fix: {item.fix}" if item.fix else ""
    return f"- {item.status} {item.id}{where}: {item.message}{stop}{fix}"
