"""Replays of several runs as one report: grouped by what differs, and in at most twelve lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from codewords_mcp.runtime.model.replay import (
    ReplayDifference,
    ReplayedRun,
    ReplayGroup,
    ReplayReport,
    ReplayVerdict,
)

MAX_LINES: Final = 12
MAX_TRIED_WRITES: Final = 4
"""Writes of a trial that are named."""
_ORDER: Final[tuple[ReplayVerdict, ...]] = ("worse", "changed", "cannot tell", "same")


def summarize(runs: Sequence[ReplayedRun], *, seconds: float = 0.0, cost: float = 0.0) -> ReplayReport:
    """The report of these runs, the worst first."""
    groups: dict[tuple[object, ...], list[ReplayedRun]] = {}
    for run in runs:
        groups.setdefault(_signature(run), []).append(run)

    reported = [
        ReplayGroup(verdict=alike[0].verdict, runs=[one.run_id for one in alike], lines=describe(alike[0]))
        for alike in groups.values()
    ]
    reported.sort(key=_severity)
    return ReplayReport(
        verdict=reported[0].verdict if reported else "cannot tell",
        groups=reported,
        runs=list(runs),
        seconds=seconds,
        cost=cost,
        bytes_sent=sum(one.bytes_sent for one in runs),
    )


def render(report: ReplayReport) -> str:
    """The report as plain text of at most twelve lines."""
    counts = Counter(run.verdict for run in report.runs)
    total = ", ".join(f"{counts[verdict]} {verdict}" for verdict in reversed(_ORDER) if counts[verdict])
    lines = [
        f"{total or 'no runs'} · {report.seconds:.1f} s, {report.bytes_sent} bytes sent, ${report.cost:.2f}"
    ]

    tried = _tried_lines(report)
    different = [group for group in report.groups if group.verdict != "same"]
    left = MAX_LINES - len(lines) - len(tried)
    if len(different) > left:
        shown, rest = different[: left - 1], [f"and {len(different) - left + 1} more groups"]
    else:
        shown, rest = different, list[str]()
    for at, group in enumerate(shown):
        room = MAX_LINES - len(lines) - len(rest) - len(tried)
        # Room that one group does not need is shared by those after it.
        lines += _group_lines(group, room // (len(shown) - at))
    return "\n".join([*lines, *rest, *tried])


def _tried_lines(report: ReplayReport) -> list[str]:
    """The answer to an input that was given, and what the code would have written; none for other replays."""
    if len(report.runs) != 1 or not report.runs[0].answer:
        return []
    run = report.runs[0]
    writes = [f"would {one}" for one in run.would_write[:MAX_TRIED_WRITES]]
    if more := len(run.would_write) - MAX_TRIED_WRITES:
        writes += [f"and {more} more writes"] if more > 0 else []
    return [f"answers {run.answer}", *(writes or ["would write nothing"])]


def describe(run: ReplayedRun) -> list[str]:
    """All that differs in one run, a line each."""
    lines = [describe_difference(one) for one in run.differences]
    lines += [f"not seen: {one}" for one in run.obstacles]
    lines += [f"differs in every run: {one}" for one in run.not_compared]
    lines += run.notes
    return list(dict.fromkeys(lines))


def describe_difference(one: ReplayDifference) -> str:
    """One difference as a line."""
    values = f"{_value(one.before)} → {_value(one.after)}"
    match one.subject, one.change:
        case "host", _:
            return f"calls a new host: {one.where}"
        case "model", _:
            return f"prompts another model: {one.where}"
        case "order", _:
            return f"writes in another order: {one.where} now before {one.before}"
        case "status", _:
            return f"answers {one.after} instead of {one.before}"
        case "error", _:
            return f"fails with {one.after}"
        case "answer", _:
            return f"answer `{one.field}`: {values}"
        case "prompt", "changed":
            return f"prompt changed, `{one.field}`: {values}"
        case "write", "added":
            return f"would {one.where}, which it did not before{_with(one.after)}"
        case subject, "added":
            return f"new {subject}: {one.where}{_with(one.after)}"
        case subject, "missing":
            return f"{subject} missing: {one.where}{_with(one.before)}"
        case subject, _:
            return f"{subject} {one.where}, `{one.field}`: {values}"


def _group_lines(group: ReplayGroup, room: int) -> list[str]:
    """At most `room` lines, of which there is at least one."""
    count = len(group.runs)
    alike = " alike" if count > 1 else ""
    found = list(group.lines)
    if len(found) > room > 1:
        found[room - 1 :] = [f"and {len(found) - room + 1} more"]
    first = found[0] if found else ""
    return [f"{count} {group.verdict}{alike}: {first}", *(f"  {line}" for line in found[1:room])]


def _value(text: str | None) -> str:
    return "nothing" if text is None else text


def _with(text: str | None) -> str:
    return f": {text}" if text else ""


def _severity(group: ReplayGroup) -> tuple[int, int]:
    return _ORDER.index(group.verdict), -len(group.runs)


def _signature(run: ReplayedRun) -> tuple[object, ...]:
    if run.verdict == "same":
        # One group for all of these: they have no differences, whatever their notes say.
        return ("same",)
    fields = {(one.subject, one.change, one.where, _general(one.field)) for one in run.differences}
    return run.verdict, frozenset(fields), frozenset(run.obstacles), frozenset(run.not_compared)


def _general(field: str) -> str:
    # Runs that differ in other items of the same list differ alike.
    return "".join("[]" if part.isdigit() else part for part in field.replace("]", "[").split("["))
