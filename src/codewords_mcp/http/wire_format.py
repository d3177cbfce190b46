"""The wire form of runs and log lines: the camelCase that the public clients read."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from codewords_mcp.runtime.model.log_text import Line, fields_of
from codewords_mcp.runtime.model.run import Attempt, ResponseFile, Run, Step
from codewords_mcp.runtime.model.run_filter import trigger_of
from codewords_mcp.runtime.model.run_listing import ListedRun, preview_of


def timestamp(moment: datetime | None) -> str | None:
    """Fixed width, UTC, microseconds: text order is time order."""
    if moment is None:
        return None
    # Not `isoformat`, which leaves out microseconds that are zero.
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def run_record(run: Run) -> dict[str, Any]:
    """The request record of the wire contract; `runningAt`, `notBefore`, `steps`, `timings`, `isolation`,
    `responseTruncated`, `responseFile`, `waitsFor`, `mode`, `modeOf`, `trigger` and all of `request…` are ours.
    """
    return {
        **_outline(run),
        "userId": run.owner,
        **_request(run),
        "responseContent": run.response_content,
        "responseJson": run.response_json,
        "responseTruncated": run.response_truncated,
        "responseFile": _file(run.response_file),
        "correlationId": run.correlation_id,
        "usage": run.usage,
        "attempts": [_attempt(attempt) for attempt in run.attempts],
        "steps": [_step(step) for step in run.steps],
        "timings": run.timings_ms,
        "isolation": run.isolation,
        "trigger": run.trigger and run.trigger.model_dump(),
    }


def run_row(listed: ListedRun) -> dict[str, Any]:
    """A run in a list, in the record's words: without what only its page shows."""
    run_input = listed.run.input
    return {
        **_outline(listed.run),
        "workflow": listed.workflow,
        "trigger": trigger_of(listed.run),
        "triggerKind": listed.run.trigger and listed.run.trigger.kind,
        "triggerId": listed.run.trigger and listed.run.trigger.id,
        "eventKey": listed.run.trigger and listed.run.trigger.event,
        "key": listed.key,
        "inputPreview": preview_of(run_input),
        "requestBytes": run_input and run_input.bytes,
        "requestTruncated": run_input is not None and run_input.truncated,
        "inputKept": run_input is not None and (run_input.content is not None or run_input.bytes == 0),
    }


def _outline(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "serviceId": run.service_id,
        "version": run.version,
        "createdAt": timestamp(run.created_at),
        "startedAt": timestamp(run.started_at),
        "runningAt": timestamp(run.running_at),
        "completedAt": timestamp(run.completed_at),
        "notBefore": timestamp(run.not_before),
        "status": run.status,
        "waitsFor": run.waits_for,
        "responseStatus": run.response_status,
        "parentRequestId": run.parent_id,
        "scheduledRequestId": run.schedule_id,
        # Present even without a price: clients declare the field.
        "cost": run.usage.get("cost"),
        "error": run.error.model_dump() if run.error else None,
        "mode": run.mode,
        "modeOf": run.mode_of,
    }


def _file(file: ResponseFile | None) -> dict[str, Any] | None:
    if file is None:
        return None

    return {
        "fileId": file.file_id,
        "filename": file.filename,
        "contentType": file.content_type,
        "size": file.size,
        "downloadUri": file.download_uri,
        "expiresAt": timestamp(file.expires_at),
        "problem": file.problem,
    }


def _request(run: Run) -> dict[str, Any]:
    run_input = run.input
    return {
        "requestMethod": run_input and run_input.method,
        "requestPath": run_input and run_input.path,
        "requestContent": run_input and run_input.content,
        "requestContentType": run_input and run_input.content_type,
        "requestBytes": run_input and run_input.bytes,
        "requestTruncated": run_input is not None and run_input.truncated,
    }


def result_record(run: Run) -> dict[str, Any]:
    """The record, plus the keys of an object answer that do not collide: public documents show both readings."""
    record = run_record(run)
    answer: object = run.response_json
    if isinstance(answer, dict):
        # The record wins: a result's own `status` must not change what clients poll for.
        return cast("dict[str, Any]", answer) | record
    return record


def log_record(entry: Line, level: str | None) -> dict[str, Any]:
    """One log line. `createdAt` is what a client passes as `after`; `level` and, of a JSON line, `fields` are ours."""
    created_at, stream, message = entry
    record = {"createdAt": created_at, "stream": stream, "message": message, "level": level}
    fields = fields_of(message)
    if fields is None:
        return record
    return record | {"fields": fields}


def _attempt(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "startedAt": timestamp(attempt.started_at),
        "endedAt": timestamp(attempt.ended_at),
        "outcome": attempt.outcome,
    }


def _step(step: Step) -> dict[str, Any]:
    return {"id": step.id, "at": timestamp(step.at)}
