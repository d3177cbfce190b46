"""Results of tests, for people and as JUnit XML for build servers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, Final

from codewords_mcp.cli import _output
from codewords_mcp.cli._client import Json
from codewords_mcp.errors import InvalidInput

_MARKS: Final = {"passed": "green", "failed": "red", "cannot tell": "yellow"}
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")
"""Characters that XML 1.0 cannot hold."""


def print_report(report: Json, subject: str) -> None:
    """Print tests with what differs, and faults as a table."""
    tests: list[Json] = report["tests"]
    for one in tests:
        _output.labelled(
            one["outcome"], _MARKS[one["outcome"]], one["run_id"], f"expects {', '.join(one['expect'])}"
        )
        for line in one["lines"]:
            _output.prose(line, indent=4)
    if tests:
        counts = [(name, sum(one["outcome"] == name for one in tests)) for name in _MARKS]
        total = ", ".join(f"{count} {name}" for name, count in counts if count)
        _output.line(f"{total} on {report['of']}, {report['seconds']:.1f} s, nothing was sent", "bold")
    elif not report["faulted"]:
        _output.note(
            f"{subject} has no recorded tests. `codewords test --add last` makes one of the last run.",
            always=True,
        )
    if report["faulted"]:
        _print_faults(report)


def _print_faults(report: Json) -> None:
    for run in report["faulted"]:
        if run["problem"]:
            _output.note(f"{run['run_id']}: {run['problem']}.", "yellow", always=True)
            continue
        _output.line(f"Faults in {run['run_id']}", "bold")
        rows = [fault_row(one) for one in run["faults"]]
        if not rows:
            _output.note("It got no response that can have a fault.", always=True)
        _output.table(
            ["FAULT", "IN", "OUTCOME", "RETRIED", "NEW WRITES"],
            rows,
            empty="",
        )
        if run["untried"]:
            _output.note(f"{run['untried']} more were not tried: no time was left.", "yellow", always=True)
    _output.line(f"seed {report['seed']}: --seed {report['seed']} makes the same faults again")


def fault_row(one: Json) -> list[str]:
    where = one["where"] + (f" `{one['field']}`" if one["field"] else "")
    outcome = one["outcome"]
    if one["kind"] == "timeout" and outcome == "crashed" and one["status"] in {0, 504}:
        outcome = "waits without a limit"
    elif outcome != "handled":
        outcome = f"{outcome} ({one['status']})" + (f" at {one['at']}" if one["at"] else "")
    writes: list[Any] = list(one["new_writes"])
    if one["followed_injection"]:
        writes.append("FOLLOWED the hidden instruction")
    writes += [f"would have called {host}, which its manifest refuses" for host in one["refused"]]
    if one["missing_writes"]:
        writes += [f"not any more: {text}" for text in one["missing_writes"]]
    return [one["kind"], where, outcome, _times(one["retries"]), "; ".join(writes) or "-"]


def _times(retries: int) -> str:
    return {0: "no", 1: "once"}.get(retries, f"{retries} times")


def write_junit(report: Json, file: Path, subject: str) -> None:
    """Write the tests as JUnit XML. Raises InvalidInput where the file cannot be written."""
    tests: list[Json] = report["tests"]
    counts = {name: sum(one["outcome"] == name for one in tests) for name in _MARKS}
    suite = ET.Element(
        "testsuite",
        name=_plain(subject),
        tests=str(len(tests)),
        failures=str(counts["failed"]),
        errors=str(counts["cannot tell"]),
        time=f"{report['seconds']:.3f}",
    )
    for one in tests:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_plain(subject),
            name=_plain(one["run_id"]),
            time=f"{one['seconds']:.3f}",
        )
        if one["outcome"] != "passed":
            # JUnit parts tests that failed from those that could not be judged.
            kind = "failure" if one["outcome"] == "failed" else "error"
            text = _plain("\n".join(one["lines"]))
            ET.SubElement(case, kind, message=text.partition("\n")[0]).text = text
    try:
        ET.ElementTree(suite).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.") from error


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
