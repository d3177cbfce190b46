"""Replays of recorded runs on a draft or a version."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.errors.remedies import DIAGNOSE, Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.manifest import covers
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.replay import (
    MAX_BUDGET,
    MAX_RUNS,
    Replay,
    ReplayReport,
    ReplayRequest,
    ReplayStatus,
)
from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES, Recording
from codewords_mcp.runtime.recording.replay import MissPolicy
from codewords_mcp.runtime.recording.replay_summary import render
from codewords_mcp.runtime.runs.catalog import NO_WORKFLOW, Servable
from codewords_mcp.runtime.runs.input_trials import InputTrial
from codewords_mcp.runtime.runs.records import new_id, shown
from codewords_mcp.runtime.runs.replay_verdicts import ReplayOrder
from codewords_mcp.runtime.store import replays as rows
from codewords_mcp.runtime.store.clock import now, to_datetime

_GONE_AFTER_US: Final = 15 * 60 * 1_000_000
"""A replay that goes on for so long has lost its runtime."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """The code that recordings are replayed on, and its name."""

    servable: Servable
    name: str


class ReplayApi:
    """Replays: start one and wait for it, read one."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._db = container.database

    async def replay(
        self, caller: Caller, request: ReplayRequest, progress: Progress = no_progress
    ) -> Replay:
        """Replay and compare. Nothing is sent but what the request lets live. Cancelling this ends it.

        Raises NotFound, InvalidInput, InvalidScript, EnvironmentFailed.
        """
        refuse_run(caller, "replay recordings")
        if request.draft is not None and request.version is not None:
            raise InvalidInput("A replay is on a draft or on a version, not on both.")
        if not 1 <= request.last <= MAX_RUNS or len(request.runs) > MAX_RUNS:
            raise InvalidInput(f"A replay takes 1 to {MAX_RUNS} recorded runs.")

        if not 0 <= request.budget <= MAX_BUDGET:
            raise InvalidInput(f"The budget of a replay is 0 to {MAX_BUDGET:g} US dollars.")

        subject = await self._subject(caller, request)
        service_id = subject.servable.service_id
        if request.input is not None:
            return await self._try_input(caller, request, subject)
        infos = await self._recordings(caller, service_id, request)
        misses = _misses(request, await self._container.catalog.find(caller, service_id))
        order = ReplayOrder(caller, subject.servable, infos, misses, seconds=request.seconds)
        return await self.carry_out(order, subject.name, progress)

    async def carry_out(self, order: ReplayOrder, name: str, progress: Progress = no_progress) -> Replay:
        """Replay what an order names on the code called `name`, and keep the report. Cancelling this ends it."""
        return await self._stored(
            order.caller, order.servable, name, self._container.replays.judge(order, progress)
        )

    async def _try_input(self, caller: Caller, request: ReplayRequest, subject: _Subject) -> Replay:
        """Ask code what no recorded run was asked, in the world of the latest recording."""
        servable = subject.servable
        body = json.dumps(request.input).encode()
        if len(body) > MAX_BODY_BYTES:
            raise InvalidInput("The input is longer than is recorded.")
        live: Servable | None = None
        # A draft that was made of no workflow has nothing to be compared with.
        with suppress(NotFound):
            live = await self._container.catalog.find(caller, servable.service_id)
        misses = _misses(request, live or servable)
        if request.budget:
            limited = replace(servable, run_budget=request.budget)
        else:
            limited = servable
        world = await self._world(caller, servable.service_id, request)
        trial = InputTrial(caller, limited, live, world, body, misses, request.seconds)
        return await self._stored(caller, servable, subject.name, self._container.replays.trials.judge(trial))

    async def _world(self, caller: Caller, service_id: str, request: ReplayRequest) -> Recording | None:
        """The recording that answers: of the run that is named, else of the latest good one; None without any."""
        service = self._container.recordings
        if request.runs:
            infos = await self._recordings(caller, service_id, request)
        else:
            infos = await service.recent(caller.owner, service_id, 1, status="succeeded", ordinary=True)
        if not infos:
            return None
        return await service.load(caller.owner, infos[0].run_id)

    async def _stored(
        self, caller: Caller, servable: Servable, name: str, work: Coroutine[Any, Any, ReplayReport]
    ) -> Replay:
        """Wait for a report, and keep it."""
        replay = Replay(
            id=new_id(), service_id=servable.service_id, of=name, created_at=to_datetime(at := now()),
            status="in_progress",
        )  # fmt: skip
        row: rows.ReplayRow = {
            "id": replay.id,
            "owner": caller.owner,
            "service_id": replay.service_id,
            "created_at": at,
            "status": "in_progress",
            "result": {"of": name},
        }
        await self._db.write(rows.add, row)
        try:
            report = await work
        except asyncio.CancelledError:
            self._end(replay, "cancelled")
            raise
        except CodewordsError as error:
            self._end(replay, "error", problem=error.message)
            raise
        return self._end(replay, "done", report)

    async def get(self, caller: Caller, replay_id: str) -> Replay:
        """A replay with its report. Raises NotFound."""
        refuse_run(caller, "read replays")
        row = await self._db.read(rows.get, caller.owner, replay_id)
        if row is None:
            raise NotFound("There is no replay of that id.", hint="Replays are kept as long as recordings.")
        found = Replay.model_validate(
            {
                **row["result"],
                "id": row["id"],
                "service_id": row["service_id"],
                "created_at": to_datetime(row["created_at"]),
                "status": row["status"],
            }
        )
        if found.status == "in_progress" and now() - row["created_at"] > _GONE_AFTER_US:
            return found.model_copy(update={"status": "error", "problem": "The runtime ended meanwhile."})
        return found

    def _end(
        self, replay: Replay, status: ReplayStatus, report: ReplayReport | None = None, problem: str = ""
    ) -> Replay:
        text = "" if report is None else render(report)
        ended = replay.model_copy(
            update={"status": status, "report": report, "text": text, "problem": problem}
        )
        result = ended.model_dump(mode="json", include={"of", "report", "text", "problem"})
        # Not awaited: the caller has the report, and a full disk must not take it away.
        self._db.write_with_retries(rows.end, replay.id, status, result)
        return ended

    async def _subject(self, caller: Caller, request: ReplayRequest) -> _Subject:
        container = self._container
        draft = None
        if request.draft is not None:
            draft = await container.drafts.get(caller, request.draft)
        service_id = request.workflow or (draft.workflow_id if draft else None)
        if service_id is None and draft is not None and request.input is not None:
            servable = await container.catalog.draft(caller.owner, NO_WORKFLOW, draft.code)
            return _Subject(servable, f"{draft.id} revision {draft.revision}")
        if service_id is None:
            raise InvalidInput(
                "This draft was made of no workflow, so nothing of it is recorded.",
                hint="Give an input to try it with, or deploy it and run it once.",
            )
        if draft is not None and draft.workflow_id != service_id:
            raise InvalidInput("This draft is not one of the workflow's.")

        await container.deployments.own(caller, service_id)
        # Who edits a workflow and asks for a replay means the edit.
        if draft is None and request.version is None:
            draft = await container.drafts.find_open(caller, service_id)
        if draft is not None:
            servable = await container.catalog.draft(caller.owner, service_id, draft.code)
            return _Subject(servable, f"{draft.id} revision {draft.revision}")
        if request.version is None:
            found: Servable | None = await container.catalog.find(caller, service_id)
        else:
            found = await container.catalog.version(caller.owner, service_id, request.version)
        if found is None:
            raise NotFound(f"This workflow has no version {request.version}.")
        return _Subject(found, f"version {found.version}")

    async def _recordings(
        self, caller: Caller, service_id: str, request: ReplayRequest
    ) -> list[RecordingInfo]:
        service = self._container.recordings
        if not request.runs:
            found = await service.recent(caller.owner, service_id, request.last, ordinary=True)
            if found:
                return found
            raise NotFound("No run of this workflow is recorded yet.", hint="Run it once.", remedy=DIAGNOSE)

        run_ids = list(dict.fromkeys(request.runs))
        found = await service.infos(caller.owner, service_id, run_ids)
        if missing := sorted({*run_ids} - {info.run_id for info in found}):
            raise NotFound(
                f"There is no recording of {len(missing)} of these runs of the workflow: {shown(missing[0])}.",
                remedy=Remedy(RemedyAction.LIST_RECORDINGS),
            )
        return found


def _misses(request: ReplayRequest, allowed: Servable) -> MissPolicy:
    """The fate of what is not on the recording. Reads go to hosts that a person agreed to for the live version."""
    reads = "live" if request.live_reads else "block"
    return MissPolicy(reads, request.budget, partial(covers, allowed.manifest.hosts))
