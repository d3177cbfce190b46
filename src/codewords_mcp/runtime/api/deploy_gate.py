"""The gate of deploys: a new version is replayed on recorded runs before it is live."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.replays import ReplayApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.plain_text import item
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.questions import with_behaviour
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.replay import ReplayedRun, ReplayReport, ReplayRequest
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.recording.replay_summary import describe, render
from codewords_mcp.runtime.runs.replay_verdicts import OUT_OF_TIME, ReplayOrder
from codewords_mcp.runtime.workflows.deploy import DeployReview

GATE_RUNS: Final = 10
"""Recorded runs that a deploy replays."""
GATE_SECONDS: Final = 5.0
"""Seconds that a deploy waits for replays. The rest goes on in the background."""
CHECK_ID: Final = "replay"
_CACHED: Final = 64
_LINE: Final = 300
_SKIPPED: Final = Check(
    id=CHECK_ID, status="note", message="Deployed without a replay of recorded runs, as was asked."
)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The replays of recorded runs on a new version. `asks` need a person's consent, `keys` tell equal ones.

    `left` are runs that were not replayed in time.
    """

    report: ReplayReport
    asks: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    replayed: tuple[str, ...] = field(default=())


class DeployGate:
    """Replays recorded runs on versions that are to be deployed. A question that it raised once stays the same question."""

    def __init__(self, container: Container, replays: ReplayApi) -> None:
        self._container = container
        self._replays = replays
        self._found: OrderedDict[tuple[str, str, int], Behaviour] = OrderedDict()

    async def look(
        self, caller: Caller, review: DeployReview, progress: Progress, *, replays: bool
    ) -> tuple[DeployReview, Behaviour | None]:
        """The review with what a person must know and agree to of the version's behaviour. Never fails for a failed replay."""
        if review.target is None or review.live is None:
            return review, None
        infos = await self._recordings(caller, review.target.id, review.live)
        if not infos:
            return review, None
        if not replays:
            return _noted(review, _SKIPPED), None

        try:
            behaviour = await self._behaviour(caller, review, review.target.id, infos, progress)
        except CodewordsError as error:
            note = Check(
                id=CHECK_ID, status="note", message=f"Recorded runs were not replayed: {error.message}"
            )
            return _noted(review, note), None

        review = _noted(review, _check(behaviour))
        if behaviour.asks and review.live is not None:
            question = with_behaviour(
                review.question, review.name, review.live, behaviour.asks, behaviour.keys
            )
            review = replace(review, question=question)
        return review, behaviour

    async def accepted(self, caller: Caller, service_id: str, version: int, behaviour: Behaviour) -> None:
        """The version is live: keep the recordings of what was agreed to, and replay the rest in the background."""
        if behaviour.asks:
            await self._container.recordings.pin(caller.owner, list(behaviour.replayed[:3]))
        if behaviour.left:
            request = ReplayRequest(service_id, version=version, runs=behaviour.left)
            self._container.dispatcher.spawn(
                self._replays.replay(caller, request), name=f"replays of {service_id}"
            )

    async def _recordings(self, caller: Caller, service_id: str, live: int) -> list[RecordingInfo]:
        service = self._container.recordings
        found = await service.recent(caller.owner, service_id, GATE_RUNS, version=live, ordinary=True)
        # Right after a deploy there is none of the live version.
        return found or await service.recent(caller.owner, service_id, GATE_RUNS, ordinary=True)

    async def _behaviour(
        self,
        caller: Caller,
        review: DeployReview,
        service_id: str,
        infos: list[RecordingInfo],
        progress: Progress,
    ) -> Behaviour:
        key = (service_id, review.version.code_hash, review.live or 0)
        found = self._found.get(key)
        if found is None:
            catalog = self._container.catalog
            live = await catalog.find(caller, service_id)
            new = await catalog.draft(caller.owner, service_id, review.plan.request.code)
            order = ReplayOrder(caller, new, infos, against=live, seconds=GATE_SECONDS)
            found = _behaviour_of(await self._container.replays.judge(order, progress))
            self._found[key] = found
            while len(self._found) > _CACHED:
                self._found.popitem(last=False)
        return found


def _behaviour_of(report: ReplayReport) -> Behaviour:
    asking = [run for run in report.runs if _asks(run)]
    lines = dict.fromkeys(item(line, _LINE) for run in asking for line in describe(run))
    left = tuple(run.run_id for run in report.runs if OUT_OF_TIME in run.obstacles)
    return Behaviour(
        report,
        tuple(lines),
        tuple(sorted({key for run in asking for key in _keys(run)})),
        left,
        tuple(run.run_id for run in asking),
    )


def _asks(run: ReplayedRun) -> bool:
    return run.verdict == "worse" or any(
        (one.subject, one.change) == ("write", "added") for one in run.differences
    )


def _keys(run: ReplayedRun) -> Iterator[str]:
    for one in run.differences:
        yield f"{one.subject} {one.change} {one.where} {one.field}"


def _check(behaviour: Behaviour) -> Check:
    report = behaviour.report
    status = "passed" if report.verdict == "same" else "note"
    if behaviour.asks:
        status = "warning"
    text = "; ".join(line.strip() for line in render(report).splitlines())
    more = ""
    if behaviour.left:
        more = f" {len(behaviour.left)} more are replayed in the background."
    return Check(id=CHECK_ID, status=status, message=f"Replays: {item(text, 600)}. {_cost(report)}{more}")


def _cost(report: ReplayReport) -> str:
    count = max(len(report.runs), 1)
    before, after = (
        sum(getattr(run, name) for run in report.runs) / count for name in ("cost_before", "cost_after")
    )
    if not (before or after):
        return "Model calls: none."
    return f"Cost of a run: ${before:.4f} before, ${after:.4f} now."


def _noted(review: DeployReview, check: Check) -> DeployReview:
    version = review.version
    return replace(review, version=replace(version, checks=[*version.checks, check.model_dump()]))
