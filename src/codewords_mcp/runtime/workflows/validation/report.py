"""Validation reports. Each check has its line, also the skipped ones."""

from __future__ import annotations

from collections.abc import Iterable

from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.validation import Check, ValidationReport

IDS = (
    "parse",
    "header",
    "app",
    "lint",
    "leaks",
    "variables",
    "dependencies",
    "environment",
    "starts",
    "port",
    "openapi",
)
"""Ids of checks, in order of cost. Checks with the ids `dialect`, `hash`, `packages`, `reach`, `smoke`
and `snapshot` come in addition.
"""
_SIGNS = {"passed": "✓", "failed": "✗", "warning": "!", "note": "·", "skipped": "-"}
_NOT_REACHED = "Not looked at, since an earlier check failed."
_LEFT_OUT = "Not looked at, as was asked."


def make_report(
    checks: Iterable[Check], manifest: Manifest | None = None, *, started: bool = True
) -> ValidationReport:
    """The report of all checks; ids of `IDS` without a check are `skipped`. `manifest`: the
    script's permissions. `started`: whether it was to be started.
    """
    all_checks = list(checks)
    if started or any(check.status == "failed" for check in all_checks):
        why = _NOT_REACHED
    else:
        why = _LEFT_OUT
    missing = set(IDS) - {check.id for check in all_checks}
    order = {check_id: position for position, check_id in enumerate(IDS)}
    all_checks += [
        Check(id=check_id, status="skipped", message=why) for check_id in IDS if check_id in missing
    ]
    # Checks that aren't in `IDS` are about the code, so they stand with the linter's.
    all_checks.sort(key=lambda check: order.get(check.id, order["lint"]))
    capabilities = manifest.lines() if manifest else []

    if capabilities:
        may = ["Once deployed it may:", *(f"  {line}" for line in capabilities)]
    else:
        may = []

    text = "\n".join([_summary(all_checks), *(_line(check) for check in all_checks), *may])
    return ValidationReport(
        all_passed=all(check.status != "failed" for check in all_checks),
        report=text,
        checks=all_checks,
        capabilities=capabilities,
        manifest=manifest,
    )


def _summary(checks: list[Check]) -> str:
    count = {status: sum(check.status == status for check in checks) for status in _SIGNS}
    parts = [
        _count(count["failed"], "failed"),
        _count(count["warning"], "warning", "s"),
        _count(count["note"], "note", "s"),
    ]
    details = ", ".join(part for part in parts if part)

    if count["failed"]:
        verdict = "The script cannot be deployed"
    else:
        verdict = "The script is valid"

    if details:
        return f"{verdict}: {details}."

    return f"{verdict}."


def _count(number: int, word: str, plural: str = "") -> str:
    if number:
        return f"{number} {word}{plural if number > 1 else ''}"
    return ""


def _line(check: Check) -> str:
    position = f", line {check.line}" if check.line else ""
    position += f", column {check.column}" if check.line and check.column else ""
    if check.fix:
        fix = f"\n    Fix: {check.fix.replace(chr(10), chr(10) + '    ')}"
    else:
        fix = ""
    return f"{_SIGNS[check.status]} {check.id}{position}: {check.message}{fix}"
