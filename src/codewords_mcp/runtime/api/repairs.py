"""Evidence for a changed draft: the failing run of its workflow replayed on it, and runs that can be its tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.recording.repair_proof import repair_lines
from codewords_mcp.runtime.runs.replay_verdicts import ReplayOrder
from codewords_mcp.runtime.store.drafts import DraftRow

GOOD_RUNS: Final = 5
SECONDS: Final = 8.0
"""Seconds that an edit waits for replays."""
PROPOSED: Final = 3
"""Runs that are proposed as tests."""
_LATEST: Final = 50
_RECENT: Final = timedelta(days=7)


async def evidence_for(
    container: Container, caller: Caller, draft: DraftRow, live: int | None
) -> tuple[list[str], Remedy | None]:
    """Lines for the reply to an edit, and what they propose. None for a draft that fails its checks or has no recorded runs.

    Where the latest run of the live version failed, the draft is replayed on it and on the last good ones.
    """
    if draft.workflow_id is None or not draft.facts["ready"]:
        return [], None

    infos = await container.recordings.recent(caller.owner, draft.workflow_id, _LATEST, ordinary=True)
    of_live = [info for info in infos if info.version == live and not info.imported]
    if of_live and of_live[0].status != "succeeded":
        good = [info for info in infos if info.status == "succeeded"][:GOOD_RUNS]
        return await _proof(container, caller, draft, of_live[0], good), None
    return _proposal(infos)


async def _proof(
    container: Container,
    caller: Caller,
    draft: DraftRow,
    failed: RecordingInfo,
    good: Sequence[RecordingInfo],
) -> list[str]:
    try:
        servable = await container.catalog.draft(caller.owner, draft.workflow_id or "", draft.code)
        order = ReplayOrder(caller, servable, [failed, *good], seconds=SECONDS)
        report = await container.replays.judge(order)
    except CodewordsError as error:
        # The edit is stored whatever becomes of its proof.
        return [f"Recorded runs were not replayed: {error.message}"]
    return repair_lines(report.runs[0], report.runs[1:])


def _proposal(infos: Sequence[RecordingInfo]) -> tuple[list[str], Remedy | None]:
    """A line with recent good runs, one of each form of input, for a workflow that has no tests yet."""
    since = datetime.now(UTC) - _RECENT
    shapes: dict[str, RecordingInfo] = {}
    for info in infos:
        if info.expect is not None:
            return [], None
        if info.status == "succeeded" and not info.obstacle and info.created_at >= since:
            shapes.setdefault(info.shape, info)
    chosen = [info.run_id for info in list(shapes.values())[:PROPOSED]]
    if not chosen:
        return [], None

    if len(chosen) == 1:
        runs = "run of last week"
    else:
        runs = "runs of last week"
    remedy = Remedy(RemedyAction.ADD_TEST, {"runs": " | ".join(chosen)})
    return [f"{len(chosen)} {runs} can be its tests. {remedy.words}"], remedy
