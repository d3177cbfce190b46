"""A deployment as a person reads it: what is live, what it may do, and its difference to the version before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from codewords_mcp.cli import _output
from codewords_mcp.cli._agree import print_capabilities
from codewords_mcp.cli._difference import print_rows
from codewords_mcp.cli._forecast import print_forecast
from codewords_mcp.cli._remedies import worded

if TYPE_CHECKING:
    from codewords_mcp.cli._client import Json

_OF_CHANGES: Final = frozenset({"replay", "tests"})
"""Notes of a deploy that say what its changes say."""
_MAX_DIFF: Final = 20


def print_deployment(done: Json) -> None:
    """Print a deployment, and the next command."""
    if done.get("changed", True):
        verb = "is live"
    else:
        verb = "was live already, nothing changed"

    _output.line(f"{done['service_id']} version {done['version']} {verb}.", "bold green")
    _output.line(f"  url        {done['url']}")
    _output.line(f"  isolation  tier {done['isolation']}")
    _print_availability(done.get("availability"))
    print_capabilities(done)
    print_forecast(done.get("forecast"))
    changes: Json | None = done.get("changes")
    if changes is not None:
        _print_changes(changes)

    for check in done.get("notes", []):
        if changes is not None and check["id"] in _OF_CHANGES:
            continue
        if check.get("line"):
            position = f"line {check['line']}: "
        else:
            position = ""

        _output.line(
            f"  {check['status']:<9}  {position}{check['message']}",
            "yellow" if check["status"] == "warning" else "",
        )
        # What is only noted is told in full once, at the first version.
        if check.get("fix") and (changes is None or check["status"] != "note"):
            _output.line(
                f"             {worded(check['fix'], check.get('remedy'))}".replace("\n", "\n             ")
            )

    _output.note(f"Run it: codewords run {done['service_id']} --input '{{…}}'")


def _print_availability(availability: Json | None) -> None:
    """Print if the address lasts, and what to do about it."""
    if availability is None:  # an older runtime
        return
    if availability["missed_port"]:
        style = "yellow"
    else:
        style = ""
    fix = worded(availability["fix"], availability.get("remedy"))
    _output.prose(f"runtime    {availability['sentence']} {fix}".strip(), style, indent=2)


def _print_changes(changes: Json) -> None:
    _output.line(f"  Beside version {changes['version']}:", "bold")
    _print_code(changes)
    _print_part("permissions", cast("list[str]", changes["permissions"]) or ["unchanged"])
    _print_part("behaviour", cast("list[str]", changes["behaviour"]))
    _print_part("cost", [str(changes["cost"] or "Not known: nothing was replayed.")])


def _print_code(changes: Json) -> None:
    _output.line(f"  code         +{changes['lines_added']} -{changes['lines_removed']} lines")
    print_rows(str(changes["code"]), indent=4, most=_MAX_DIFF)


def _print_part(title: str, lines: list[str]) -> None:
    for number, text in enumerate(lines):
        _output.prose(f"{'' if number else title:<12} {text}", indent=2)
