"""Replays of recorded runs on a draft or a version."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.progress import answer
from codewords_mcp.http.responses import NDJSON, JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.replay import MAX_BUDGET, MAX_RUNS, USUAL_RUNS, Replay, ReplayRequest


class ReplayBody(Body):
    """The latest `last` recorded runs of a workflow, or these `runs`, on `draft_id` or on `version`.

    Without both, on the workflow's open draft, else on its live version. `live_reads` sends reads that are not on the recording;
    `budget` is what model calls may cost whose prompt changed, in US dollars. Nothing else is sent.
    `input` is asked instead of the recorded inputs; the latest recording, or that of the first of `runs`, answers.
    """

    service_id: str | None = None
    draft_id: str | None = None
    version: int | None = Field(default=None, ge=1)
    runs: list[str] = Field(default_factory=list[str], max_length=MAX_RUNS)
    last: int = Field(default=USUAL_RUNS, ge=1, le=MAX_RUNS)
    live_reads: bool = False
    budget: float = Field(default=0.0, ge=0, le=MAX_BUDGET)
    input: Any = None


async def replay(request: Request) -> Response:
    """Replay and compare. A client that hangs up ends it."""
    body = await read_body(request, ReplayBody)
    order = ReplayRequest(
        body.service_id,
        body.draft_id,
        body.version,
        body.runs,
        body.last,
        live_reads=body.live_reads,
        budget=body.budget,
        input=body.input,
    )

    async def work(progress: Progress) -> Replay:
        return await runtime(request.scope).replays.replay(caller(request.scope), order, progress)

    return await answer(request, work)


async def get_replay(request: Request) -> Response:
    """Read one."""
    replay_id = str(request.path_params["replay_id"])
    return JsonReply(await runtime(request.scope).replays.get(caller(request.scope), replay_id))


OPERATIONS = [
    HttpOperation(
        "POST", "/replays", "Replay recorded runs", replay, tag="runs", body=ReplayBody, reply=Replay,
        other_media=(NDJSON,),
        description="The verdict on each run: `same`, `changed`, `worse` or `cannot tell`. Takes a while: with "
        "`Accept: application/x-ndjson` it streams `{progress}` lines, then `{result}` or `{error}`.",
    ),
    HttpOperation("GET", "/replays/{replay_id}", "Read a replay", get_replay, tag="runs", reply=Replay),
]  # fmt: skip
