"""Starts the workflows that others name as `on_failure`, with the record of the run that failed.

A start is written as a cause with the failure, and taken out once the run is on record, whose idempotency key is that
of the failed run: each failure starts one run, whatever becomes of the process. A run that was started so starts none
when it fails, so that no two workflows start each other without end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import (
    CodewordsError,
    EnvironmentFailed,
    Forbidden,
    NotFound,
    StorageFailed,
    TooBusy,
)
from codewords_mcp.runtime.alerts.describe import ON_FAILURE, FailedRun, find_failed_run
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.manifest import Manifest
from codewords_mcp.runtime.model.run import RunRequest, TriggerRef
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_causes, workflows
from codewords_mcp.runtime.store.alert_causes import AlertCause
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.workflows import VersionRow, WorkflowRow
from codewords_mcp.runtime.workflows.script import parse_script

POLL_INTERVAL, SHARED_POLL_INTERVAL = 30.0, 3.0
AT_ONCE = 20
BUSY_PAUSE = 5.0
"""Seconds before the next try where no run can be started just now."""
LONGEST_BUSY = 3600.0
"""Seconds after which a failure is given up on whose workflow could not be started."""
MAX_KNOWN = 1000
MAX_INPUT = 20_000
"""Characters of the failed run's own input in the record."""
_AGAIN = (TooBusy, StorageFailed, EnvironmentFailed)
log = structlog.get_logger(__name__)


class FailureWorkflows(PollLoop):
    """Starts them by `start`. `on_refused` is called where one could not be started, after its cause was noted."""

    def __init__(
        self,
        database: Database,
        start: Callable[[RunRequest], Awaitable[str]],
        address: Callable[[], str],
        on_refused: Callable[[], object],
    ) -> None:
        super().__init__("workflows are not started for failures", BUSY_PAUSE)
        self._db = database
        self._start = start
        self._address = address
        self._on_refused = on_refused
        self._targets: dict[tuple[str, int], str] = {}
        """The workflow that a version names, "" for none."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        # A cause is a row that is discarded after the start: a kill in between starts nothing twice, since the key of
        # the request is made of the failed run.
        while causes := await self._db.read(alert_causes.peek_starts, AT_ONCE):
            for cause in causes:
                try:
                    refused = await self._handle(cause.detail["run_id"])
                except _AGAIN as error:
                    # Those behind it would meet the same lack of room.
                    if now() - cause.at < LONGEST_BUSY * 1e6:
                        return BUSY_PAUSE
                    refused = error.message
                await self._db.write(_settle, cause, refused)
                if refused:
                    self._on_refused()

        if self._db.shared:
            return SHARED_POLL_INTERVAL
        return POLL_INTERVAL

    async def _handle(self, run_id: str) -> str:
        """Start the workflow for a failed run, if its version names one; the reason where it may not be started."""
        run, version = await self._db.read(_find, run_id)
        if run is None or version is None:
            return ""
        target = await self._target_of(version)
        if not target:
            return ""

        try:
            workflow = await self._db.read(workflows.get, target)
            _require_allowed(run, version, workflow, target)
            await self._start(self._request(run, target))
        # The next poll tries these again; every other refusal is final, and an alert tells of it.
        except _AGAIN:
            raise
        except CodewordsError as error:
            log.warning(
                "on_failure workflow not started", run_id=run_id, workflow=target, reason=error.message
            )
            return error.message
        return ""

    async def _target_of(self, version: VersionRow) -> str:
        key = (version.workflow_id, version.number)
        if key not in self._targets:
            # A version never changes, so that nothing here grows old; the bound is for memory.
            if len(self._targets) >= MAX_KNOWN:
                self._targets.clear()
            self._targets[key] = await asyncio.to_thread(_read_target, version.code)
        return self._targets[key]

    def _request(self, run: FailedRun, target: str) -> RunRequest:
        row = run.row
        body = json.dumps(self._record(run)).encode()
        above = MadeBy.from_json(row["made_by"])
        services = (row["service_id"], *(above.services if above is not None else ()))
        made_by = MadeBy(row["service_id"], row["depth"] + 1, services, row["key_id"])
        # Failures that start each other end at the depth of every chain of calls.
        made_by.check()
        return RunRequest(
            target,
            "POST",
            "/",
            b"",
            [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
            replayed(body),
            Caller(row["owner"], "user", key_id=row["key_id"]),
            correlation_id=row["correlation_id"],
            idempotency_key=f"{ON_FAILURE}{row['id']}",
            made_by=made_by,
            trigger=TriggerRef(kind="on_failure", id=row["service_id"], event=row["id"]),
        )

    def _record(self, run: FailedRun) -> dict[str, Any]:
        """The input of an `on_failure` workflow."""
        row = run.row
        ended = row["completed_at"]
        sent: dict[str, Any] = row["input"] or {}
        return {
            "run_id": row["id"],
            "workflow_id": row["service_id"],
            "workflow": run.name,
            "version": row["version"],
            "status": row["status"],
            "error": row["error"],
            "response_status": row["response_status"],
            "trigger": run.trigger,
            "schedule_id": row["schedule_id"],
            "input": str(sent.get("content") or "")[:MAX_INPUT],
            "created_at": to_text(row["created_at"]),
            "completed_at": None if ended is None else to_text(ended),
            "url": f"{self._address()}/console/runs/{row['id']}",
        }


def _find(connection: Connection, run_id: str) -> tuple[FailedRun | None, VersionRow | None]:
    run = find_failed_run(connection, run_id)
    if run is None:
        return None, None
    return run, workflows.version(connection, run.row["service_id"], run.row["version"] or 0)


def _read_target(code: str) -> str:
    try:
        return str(parse_script(code).tool.get("on_failure", ""))
    except CodewordsError:
        # Code that an older release took may be refused by this one.
        return ""


def _require_allowed(run: FailedRun, version: VersionRow, workflow: WorkflowRow | None, target: str) -> None:
    """Raise NotFound or Forbidden where a failed run may not start a workflow."""
    if workflow is None or workflow.owner != run.row["owner"]:
        raise NotFound(f"There is no workflow {target} of the same owner, which `on_failure` names.")
    if target == run.row["service_id"]:
        raise Forbidden(
            f"The workflow {target} names itself as `on_failure`, which would start it without end."
        )
    if version.manifest is None or not Manifest.model_validate(version.manifest).may_call(target):
        raise Forbidden(f"The manifest does not list the workflow {target}, which `on_failure` names.")


def _settle(connection: Connection, cause: AlertCause, refused: str) -> None:
    alert_causes.discard(connection, cause.id)
    if refused:
        detail = {"run_id": cause.detail["run_id"], "reason": refused}
        alert_causes.note(connection, f"not started {cause.detail['run_id']}", "on_failure_failed", detail)
