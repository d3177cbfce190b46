"""Behaviour of a new version in replays of recorded runs: what needs a person's consent, and what its record says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.replay import ReplayedRun, ReplayReport
from codewords_mcp.runtime.model.validation import Check, CheckStatus
from codewords_mcp.runtime.recording.replay_summary import describe, render, summarize
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.replay_verdicts import OUT_OF_TIME

CHECK_ID: Final = "replay"
_LINE: Final = 300
_MESSAGE: Final = 600


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The replays of recorded runs on a new version, beside the version `against`.

    `report` has those that were replayed in time, `left` are the others. `asks` need a person's consent, `keys` tell equal
    ones, and `asking` are the runs that show them.
    """

    report: ReplayReport
    against: Servable
    left: tuple[RecordingInfo, ...] = ()
    asks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    asking: tuple[str, ...] = ()


def behaviour_of(report: ReplayReport, infos: Sequence[RecordingInfo], against: Servable) -> Behaviour:
    """The behaviour of a version, by the report of these recordings."""
    left = {run.run_id for run in report.runs if OUT_OF_TIME in run.obstacles}
    seen = [run for run in report.runs if run.run_id not in left]
    asking = [run for run in seen if _asks(run)]
    lines = dict.fromkeys(item(line, _LINE) for run in asking for line in describe(run))
    return Behaviour(
        summarize(seen, seconds=report.seconds, cost=report.cost),
        against,
        tuple(info for info in infos if info.run_id in left),
        tuple(lines),
        tuple(sorted({key for run in asking for key in _keys(run)})),
        tuple(run.run_id for run in asking),
    )


def replay_check(behaviour: Behaviour, check_id: str = CHECK_ID, title: str = "Replays") -> Check:
    """The replays as a check of the version."""
    report = behaviour.report
    status: CheckStatus = "passed" if report.verdict == "same" else "note"
    if behaviour.asks:
        status = "warning"
    if report.runs:
        text = item("; ".join(behaviour_lines(report)), _MESSAGE)
    else:
        text = "none was done in time"
    return Check(id=check_id, status=status, message=f"{title}: {text}. {cost_sentence(report)}")


def behaviour_lines(report: ReplayReport) -> list[str]:
    """The differences, in at most twelve lines."""
    return [line.strip() for line in render(report).splitlines()]


def cost_sentence(report: ReplayReport) -> str:
    """The cost of the model calls of a run, before and now."""
    count = max(len(report.runs), 1)
    before, after = (
        sum(getattr(run, name) for run in report.runs) / count for name in ("cost_before", "cost_after")
    )
    if not (before or after):
        return "Model calls: none."
    return f"Cost of a run: ${before:.4f} before, ${after:.4f} now."


def _asks(run: ReplayedRun) -> bool:
    # A write that is new is asked about even where the answer is the same.
    return run.verdict == "worse" or any(
        (one.subject, one.change) == ("write", "added") for one in run.differences
    )


def _keys(run: ReplayedRun) -> Iterator[str]:
    for one in run.differences:
        yield f"{one.subject} {one.change} {one.where} {one.field}"
