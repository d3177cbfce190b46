"""Trials of code on an input that no recorded run had, in the world of a recording: nothing is sent."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.replay import ReplayedRun, ReplayReport
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import Recording, RunMessage, cost_of
from codewords_mcp.runtime.recording.held_writes import cut
from codewords_mcp.runtime.recording.replay import MissPolicy, ReplayRecorder
from codewords_mcp.runtime.recording.replay_summary import summarize
from codewords_mcp.runtime.recording.writes import kind_of
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.replays import NotReplayed, ReplayRunner

MAX_ANSWER: Final = 600
MAX_WRITES: Final = 20
_JSON: Final = (b"content-type", b"application/json")
NOTHING_LIVE: Final = "nothing is live to compare it with"


@dataclass(frozen=True, slots=True)
class InputTrial:
    """An input as JSON, for `servable` and, to compare with, for the version that is live.

    `world` answers requests: a recording of an earlier run. Without one, reads are not answered.
    """

    caller: Caller
    servable: Servable
    live: Servable | None
    world: Recording | None
    body: bytes
    misses: MissPolicy
    seconds: float


class InputTrials:
    """Runs code on an input of a person's choice, and says what it answers and would write."""

    def __init__(self, runner: ReplayRunner) -> None:
        self._runner = runner

    async def judge(self, trial: InputTrial) -> ReplayReport:
        """The report of one trial. Cancelling this ends it. Raises the error of a run that did not begin."""
        began = time.monotonic()
        recording = _recording_with_input(trial)
        try:
            found = await self._run(trial, trial.servable, recording, trial.misses)
        except NotReplayed as why:
            run = ReplayedRun(run_id="", verdict="cannot tell", obstacles=[str(why)])
            return summarize([run], seconds=time.monotonic() - began)

        cost = cost_of(found.sent())
        run = await self._compared(trial, recording, found)
        writes = [one.request.label for one in found.exchanges if kind_of(one.request) == "write"]
        run = run.model_copy(update={"answer": _answer(found), "would_write": writes[:MAX_WRITES]})
        return summarize([run], seconds=time.monotonic() - began, cost=cost)

    async def _compared(self, trial: InputTrial, recording: Recording, found: Recording) -> ReplayedRun:
        """The trial beside the version that is live."""
        if trial.live is None:
            return ReplayedRun(run_id=found.run_id, verdict="cannot tell", obstacles=[NOTHING_LIVE])
        try:
            # Twice: what differs between both is noise.
            live = [await self._run(trial, trial.live, recording, MissPolicy()) for _ in range(2)]
        except NotReplayed as why:
            reason = f"the live version, to compare it with: {why}"
            return ReplayedRun(run_id=found.run_id, verdict="cannot tell", obstacles=[reason])
        return compare(Baseline(live[0], live[1:]), found)

    async def _run(
        self, trial: InputTrial, servable: Servable, recording: Recording, misses: MissPolicy
    ) -> Recording:
        recorder = ReplayRecorder(recording, misses)
        try:
            return await self._runner.run(recording, servable, recorder, trial.caller, trial.seconds)
        except CodewordsError as error:
            if servable is trial.servable:
                raise
            # The live version is only there to compare with.
            raise NotReplayed(f"it did not begin: {error.message}") from None


def _recording_with_input(trial: InputTrial) -> Recording:
    """The world with this input: the path, method and headers are those of the recorded run."""
    world = trial.world or Recording(
        run_id="",
        service_id=trial.servable.service_id,
        version=0,
        created_at=round(time.time() * 1e6),
        status="succeeded",
        request=RunMessage("POST", "/", headers=[_JSON]),
        response=RunMessage(),
    )
    message = world.request
    headers = [(name, value) for name, value in message.headers if name.lower() != _JSON[0]]
    request = replace(message, headers=[*headers, _JSON], body=trial.body)
    return replace(world, request=request)


def _answer(found: Recording) -> str:
    """The status and body, as long as a person reads."""
    body = found.response.body
    if body is None:
        text = "(longer than is kept)"
    else:
        try:
            text = json.dumps(json.loads(body), ensure_ascii=False)
        except ValueError:
            text = body.decode(errors="replace")
    failed = f" ({found.error})" if found.error else ""
    return f"{found.response.status or 'none'}{failed} {cut(text, MAX_ANSWER)}".rstrip()
