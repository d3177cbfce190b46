"""Checks of a workflow as lines."""

from __future__ import annotations

import re

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import Json
from codewords_mcp.cli._remedies import worded

_IN_MODULE = re.compile(r"[\w/]+\.py:\d+: ")
_MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "warning": ("!", "yellow"),
    "note": ("i", "cyan"),
    "skipped": ("-", "dim"),
}


def position_of(check: Json, subject: str) -> str:
    """The position of a check in front of its message: "file:line:column: ", or "" where it is about the whole."""
    # Such a message names the file and line of a shared module; the check's own line counts through the whole code.
    if not check.get("line") or _IN_MODULE.match(check["message"]):
        return ""
    return f"{subject}:{check['line']}:{check.get('column') or 1}: "


def print_checks(checks: list[Json], subject: str = "line") -> None:
    """Each with its mark, its position in the subject and its fix; those that were not reached in one line."""
    for check in (check for check in checks if check["status"] != "skipped"):
        mark, style = _MARKS.get(check["status"], ("?", ""))
        position = position_of(check, subject)
        _output.prose(f"{mark} {check['id']}: {position}{check['message']}", style)
        if check.get("fix"):
            _output.line(f"    {worded(check['fix'], check.get('remedy'))}".replace("\n", "\n    "))

    skipped: dict[str, list[str]] = {}
    for check in checks:
        if check["status"] == "skipped":
            skipped.setdefault(check["message"], []).append(check["id"])

    for message, ids in skipped.items():
        _output.prose(f"- {', '.join(ids)}: {message}", "dim")


def print_report(report: Json, subject: str) -> None:
    """All checks of a report, and the verdict."""
    print_checks(report["checks"], subject)
    failed = sum(check["status"] == "failed" for check in report["checks"])
    if report["all_passed"]:
        verdict = "All checks passed."
    else:
        verdict = f"{failed} of {len(report['checks'])} checks failed."
    _output.line(f"{subject}: {verdict}", "bold green" if report["all_passed"] else "bold red")
