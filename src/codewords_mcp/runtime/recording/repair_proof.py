"""The proof of a repair in a line: replays of the run that failed, and of good ones beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.replay_summary import describe, describe_difference

_LINE: Final = 200
_SHOWN: Final = 4


def repair_lines(failed: ReplayedRun, good: Sequence[ReplayedRun]) -> list[str]:
    """Lines on a change: the run that failed, and those that were good."""
    status = next((one for one in failed.differences if one.subject == "status"), None)
    repaired = status is not None and _is_failure(status.before) and not _is_failure(status.after)
    if repaired and status is not None:
        head = f"fixes the failing run {failed.run_id} ({status.before} → {status.after})"
    elif failed.obstacles:
        head = f"cannot tell whether it fixes the failing run {failed.run_id}: {item(failed.obstacles[0], _LINE)}"
    else:
        head = f"does NOT fix the failing run {failed.run_id}"

    same = sum(run.verdict == "same" for run in good)
    beside = (
        f"{same} of {len(good)} good ones are the same" if good else "no good run is recorded to compare with"
    )
    lines = [f"Replayed, nothing sent: {head}; {beside}."]
    if repaired:
        lines += [
            f"After the fix it {item(describe_difference(one), _LINE)}"
            for one in failed.differences
            if (one.subject, one.change) == ("write", "added")
        ]
    different = [run for run in good if run.verdict != "same"]
    lines += [
        f"{run.run_id} {run.verdict}: {item('; '.join(describe(run)), _LINE)}" for run in different[:_SHOWN]
    ]
    return lines


def _is_failure(status: str | None) -> bool:
    # 0 is the status of a run that ended without a response.
    return status is None or int(status) >= 400 or int(status) == 0
