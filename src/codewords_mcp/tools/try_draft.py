"""`try_draft`: replay recorded runs on a draft, without sending anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.text import clean, cut, fence
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.authoring import DRAFT_ID
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.replay import Replay, ReplayRequest
from codewords_mcp.tools._jobs import join_job

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

_LINE = 200
_TEXT = 2_400


class TryGroup(BaseModel):
    """Runs that differ alike."""

    verdict: str
    runs: list[str]
    lines: list[str] = []


class TryResult(BaseModel):
    """`verdict` is the worst of all runs. Only `status` while replays go on."""

    status: Literal["done", "replaying"]
    replay_id: str | None = None
    verdict: str | None = None
    groups: list[TryGroup] = []
    answer: str | None = None
    would_write: list[str] = []


async def try_draft(
    ctx: ToolContext,
    draft_id: Annotated[str, Field(min_length=1, description="Or a workflow's: its draft")],
    runs: Annotated[list[str] | None, Field(description="Else the last 20")] = None,
    input: Annotated[Any, Field(description="Instead of theirs")] = None,  # noqa: A002  # the word a model expects
) -> Annotated[CallToolResult, TryResult]:
    """Replay recorded runs on a draft before deploying it, and say what it would do otherwise. Nothing is sent."""
    if DRAFT_ID.fullmatch(draft_id):
        request = ReplayRequest(draft=draft_id, runs=runs or (), input=input)
    else:
        request = ReplayRequest(draft_id, runs=runs or (), input=input)

    async def work(runtime: Runtime, caller: Caller, progress: Progress) -> Replay:
        return await runtime.replays.replay(caller, request, progress)

    replay = await join_job(ctx, "replay", [draft_id, runs, input], work)
    if replay is None or replay.report is None:
        text = "Still replaying. Call try_draft again with the same arguments: it joins this work."
        return tool_result(TryResult(status="replaying"), text)

    groups = [
        TryGroup(
            verdict=group.verdict,
            runs=group.runs,
            lines=[cut(clean(line), _LINE) for line in group.lines[:10]],
        )
        for group in replay.report.groups[:10]
    ]
    data = TryResult(status="done", replay_id=replay.id, verdict=replay.report.verdict, groups=groups)
    if input is not None:
        (run,) = replay.report.runs
        data.answer = clean(run.answer)
        data.would_write = [cut(clean(one), _LINE) for one in run.would_write]
    # Values of answers and requests are in it.
    return tool_result(data, fence(replay.of, replay.text, _TEXT))


TOOL = tool(try_draft, title="Try draft", hints=READS, task="optional", retryable=True)
