"""Columns of the table `runs` as writers set them: a row, or the part of one that changes together.

Times are µs since 1970. The columns of each state are in `run_state`.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.model.run import ExecutionMode, RunStatus

FinalStatus = Literal["succeeded", "failed", "timed_out", "cancelled", "interrupted"]
AttemptOutcome = Literal["succeeded", "failed", "timed_out", "cancelled", "interrupted", "suspended"]
"""`suspended`: the run gave its sandbox back, since it waits for a person or a time."""


class AttemptEntry(TypedDict):
    """One element of the column `attempts`. `ended_at` and `outcome` are None during the attempt."""

    number: int
    started_at: int
    ended_at: int | None
    outcome: AttemptOutcome | None


class ErrorEntry(TypedDict):
    """The column `error`."""

    code: str
    message: str
    origin: str
    hint: str
    remedy: NotRequired[JsonObject]


class StepEntry(TypedDict):
    """One element of the column `steps`."""

    id: str
    at: int


class InputEntry(TypedDict):
    """The column `input`; see `RunInput`."""

    method: str
    path: str
    content_type: str | None
    content: str | None
    bytes: int
    truncated: bool


class ResponseFileEntry(TypedDict):
    """The column `response_file`; see `ResponseFile`."""

    file_id: str
    filename: str
    content_type: str
    size: int
    problem: str | None


class RunColumns(TypedDict, total=False):
    """Values of columns by name. A new row has at least id, owner, created_at and the columns of a state."""

    id: str
    owner: str
    service_id: str | None
    version: int | None
    status: RunStatus
    created_at: int
    started_at: int | None
    running_at: int | None
    completed_at: int | None
    response_status: int | None
    response_content: str | None
    response_json: JsonValue
    response_truncated: bool
    response_file: ResponseFileEntry | None
    correlation_id: str | None
    parent_id: str | None
    idempotency_key: str | None
    key_id: str | None
    error: ErrorEntry | None
    attempts: list[AttemptEntry]
    steps: list[StepEntry]
    usage: JsonObject
    timings: dict[str, float]
    isolation: str | None
    background: bool
    executor: str | None
    retries: int
    in_queue: bool
    deliveries: int
    depth: int
    priority: int
    not_before: int | None
    schedule_id: str | None
    waits_for: str | None
    input: InputEntry | None
    made_by: JsonObject | None
    mode: ExecutionMode | None
    mode_of: str | None
    trace_parent: str | None
    trigger_kind: str | None
    trigger_id: str | None
    event_key: str | None
    summed: bool | None
    cpu_seconds: float | None
    peak_memory: int | None
    cost: float | None
    egress_in: int | None
    egress_out: int | None
