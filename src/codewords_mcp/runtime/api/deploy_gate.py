"""The gate of deploys: a new version is replayed on recorded runs before it is live."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.behaviour import CHECK_ID, Behaviour, behaviour_of, replay_check
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.late_replays import LateReplays, pending_check
from codewords_mcp.runtime.api.replays import ReplayApi
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.questions import with_behaviour
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.runs.replay_verdicts import ReplayOrder
from codewords_mcp.runtime.workflows.deploy_review import DeployReview

GATE_RUNS: Final = 10
"""Recorded runs that a deploy replays."""
GATE_SECONDS: Final = 5.0
"""Seconds that a deploy waits for replays. The rest goes on in the background."""
_CACHED: Final = 64
_SKIPPED: Final = Check(
    id=CHECK_ID, status="note", message="Deployed without a replay of recorded runs, as was asked."
)


class DeployGate:
    """Replays recorded runs on versions that are to be deployed. A question that it raised once stays the same question."""

    def __init__(self, container: Container, replays: ReplayApi, seconds: float = GATE_SECONDS) -> None:
        self._container = container
        self._late = LateReplays(container, replays)
        self._seconds = seconds
        self._found: OrderedDict[tuple[str, str, int], Behaviour] = OrderedDict()

    async def look(
        self, caller: Caller, review: DeployReview, progress: Progress, *, replays: bool
    ) -> tuple[DeployReview, Behaviour | None]:
        """The review with what a person must know and agree to of the version's behaviour. Never fails for a failed replay."""
        if review.target is None or review.live is None:
            return review, None
        service_id = review.target.id
        infos = await self._recordings(caller, service_id, review.live)
        if not infos:
            return review, None
        if not replays:
            return review.with_check(_SKIPPED), None
        if earlier := await self._late.warning(service_id, review.live):
            review = review.with_check(earlier)

        try:
            behaviour = await self._behaviour(caller, review, service_id, infos, progress)
        # A replay is evidence and no condition: what keeps it from running must not keep a version
        # back.
        except CodewordsError as error:
            note = Check(
                id=CHECK_ID, status="note", message=f"Recorded runs were not replayed: {error.message}"
            )
            return review.with_check(note), None

        review = review.with_check(replay_check(behaviour))
        if behaviour.left:
            review = review.with_check(pending_check(len(behaviour.left)))
        if behaviour.asks and review.live is not None:
            question = with_behaviour(
                review.question, review.name, review.live, behaviour.asks, behaviour.keys
            )
            review = replace(review, question=question)
        return review, behaviour

    async def accepted(self, caller: Caller, service_id: str, version: int, behaviour: Behaviour) -> None:
        """The version is live: keep the recordings of what was agreed to, and replay the rest in the background."""
        if behaviour.asks:
            await self._container.recordings.pin(caller.owner, list(behaviour.asking[:3]))
        if behaviour.left:
            self._late.start(caller, service_id, version, behaviour)

    async def tried(self, service_id: str, version: int) -> list[Check]:
        """The checks that tell how a version was tried at its deploy and after it."""
        return await self._late.tried(service_id, version)

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
        # By code: the yes to a question comes with a second deploy, and must find the same question.
        key = (service_id, review.version.code_hash, review.live or 0)
        found = self._found.get(key)
        if found is None:
            catalog = self._container.catalog
            live = await catalog.find(caller, service_id)
            new = await catalog.draft(caller.owner, service_id, review.plan.request.code)
            order = ReplayOrder(caller, new, infos, against=live, seconds=self._seconds)
            found = behaviour_of(await self._container.replays.judge(order, progress), infos, live)
            self._found[key] = found
            while len(self._found) > _CACHED:
                self._found.popitem(last=False)
        return found
