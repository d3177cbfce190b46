"""Outcomes of runs, as their records have them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from codewords_mcp.common.bounded_json import JsonObject, JsonValue, parse_or_none, storable_text
from codewords_mcp.errors import (
    CodewordsError,
    ProgramFailed,
    RunCancelled,
    RunInterrupted,
    RunTimedOut,
    SandboxFailed,
)
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.model.grants import ANY
from codewords_mcp.runtime.model.manifest import covers
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import ErrorEntry, FinalStatus, RunColumns
from codewords_mcp.runtime.model.run_state import UNFINISHED, error_entry, to_finished
from codewords_mcp.runtime.runs.request_headers import Headers, value_of
from codewords_mcp.runtime.runs.run_logs import Destination, RunLog
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.usage import SummedUsage

ANSWERED_ERROR = "workflow_answered_error"
"""Code of the error of a run whose workflow responded with a status of an error."""
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class WorkflowResponse:
    """Status and headers of the workflow's own answer."""

    status: int
    headers: Headers


@dataclass(slots=True)
class CapturedBody:
    """The beginning of a response body, for the record."""

    max_bytes: int
    data: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def overflows(self, chunk: bytes) -> bool:
        """Whether this part is the first that does not fit."""
        return not self.truncated and len(self.data) + len(chunk) > self.max_bytes

    def add(self, chunk: bytes) -> None:
        """Keep what fits."""
        free = self.max_bytes - len(self.data)
        self.data += chunk[:free]
        self.truncated = self.truncated or len(chunk) > free


def response_record(response: WorkflowResponse | None, captured: CapturedBody, *, whole: bool) -> RunColumns:
    """The record's columns of the answer; none where there was none. `whole`: the program came to its end."""
    if response is None:
        return {}

    data, truncated = bytes(captured.data), captured.truncated or not whole
    content: str | None = None
    with suppress(UnicodeDecodeError):
        content = data.decode()
    if content is None and truncated:
        # The limit may have cut a character.
        content = data.decode("utf-8", "ignore")
    parsed: JsonValue = None
    if content and not truncated and "json" in (value_of(response.headers, b"content-type") or "").lower():
        parsed = parse_or_none(content)  # what is outside the bounds is kept as text
    return {
        "response_status": response.status,
        "response_content": None if content is None else storable_text(content),
        "response_json": parsed,
        "response_truncated": truncated,
    }


def egress_record(
    hosts: tuple[str, ...] | None, run_log: RunLog, usage: SummedUsage | None = None
) -> JsonObject:
    """Under which policy the workflow could go out, what it connected to, and what was refused, why and with the fix.

    With the usage of the whole attempt, the bytes both ways too.
    """
    policy: JsonValue = "default" if hosts is None else list(hosts)
    reached: list[JsonValue] = [_reached(destination, hosts) for destination in run_log.destinations]
    egress: JsonObject = {"policy": policy, "reached": reached, **run_log.requests}
    if usage is not None and usage.egress_out is not None:
        egress["bytes_in"], egress["bytes_out"] = usage.egress_in, usage.egress_out

    record: JsonObject = {"egress": egress}
    if run_log.refusals:
        record["refused_calls"] = [{"why": why, "count": n} for why, n in run_log.refusals.items()]
    return record


def _reached(destination: Destination, hosts: tuple[str, ...] | None) -> JsonObject:
    """The entry of a destination, with the fix if the manifest is the reason of a refusal."""
    entry = destination.as_json()
    if not (destination.allowed or covers((ANY,) if hosts is None else hosts, destination.host)):
        entry["fix"] = _fix(destination.host)
    return entry


def _fix(host: str) -> str:
    return f'hosts = ["{host}"] under [tool.codewords] in the header, then deploy again'


def interrupted() -> RunInterrupted:
    """The error of a run that the end of the runtime broke off."""
    return RunInterrupted(
        "The runtime stopped while this run was in flight.", hint="Run it again if it is safe to do so."
    )


def failed_by_itself(error: CodewordsError | None, response: WorkflowResponse | None) -> bool:
    """Whether it was the program that ended or answered so."""
    if error is not None:
        return isinstance(error, ProgramFailed)
    return response is not None and response.status >= 400


def final_status(error: CodewordsError | None, response: WorkflowResponse | None) -> FinalStatus:
    """The status of a run that ended so."""
    if isinstance(error, RunTimedOut):
        return "timed_out"
    if isinstance(error, RunCancelled):
        return "cancelled"
    if isinstance(error, RunInterrupted):
        return "interrupted"
    if error is None and response is not None and 200 <= response.status < 300:
        return "succeeded"
    return "failed"


class RunSuspended(CodewordsError):
    """Ends an attempt whose run gives its sandbox back, since it waits. No caller sees it.

    `waits_for` is "answer" or "wait".
    """

    code = "run_suspended"

    def __init__(self, waits_for: str) -> None:
        super().__init__("The run waits, and gives its sandbox back.")
        self.waits_for = waits_for


def unreadable() -> SandboxFailed:
    """The error of a run whose outcome could not be recorded as it was."""
    return SandboxFailed(
        "The run ended, and the runtime could not record its outcome.",
        hint="The runtime's log has the details.",
    )


def unstartable() -> SandboxFailed:
    """The error of a run that waited and whose request cannot be read any more."""
    return SandboxFailed(
        "The run waited, and its request could not be read when its turn came.",
        hint="Run the workflow anew; the runtime's log has the details.",
    )


def settle_if_refused(database: Database, written: asyncio.Future[None], run_id: str, holder: str) -> None:
    """Settle the record as failed if the database refuses the outcome, so that no run stays unfinished for its content."""

    def check(done: asyncio.Future[None]) -> None:
        if done.cancelled() or (error := done.exception()) is None:
            return
        log.error("outcome refused by the store", run_id=run_id, reason=type(error).__name__)
        values = to_finished("failed", error_entry(unreadable()), now())
        database.write_with_retries(rows.change, run_id, values, only_from=UNFINISHED, holder=holder)

    written.add_done_callback(check)


def error_record(error: CodewordsError | None, response: WorkflowResponse | None) -> ErrorEntry | None:
    """The record's `error`, None for a run that succeeded."""
    if error is not None:
        return error_entry(error)
    if response is not None and not 200 <= response.status < 300:
        return {
            "code": ANSWERED_ERROR,
            "message": f"The workflow answered {response.status}.",
            "origin": "service",
            "hint": "",
        }

    return None


def what_limits(request: RunRequest, header_timeout: float | None) -> tuple[str, Remedy | None]:
    """Name the line or setting that limits the time of a run, and the way to a longer one."""
    if request.timeout:
        return "The request that started it set this limit: give a longer one.", None
    if not request.background:
        hint = "CODEWORDS_SYNC_TIMEOUT limits runs whose caller waits: make it quicker."
        return hint, Remedy(RemedyAction.RUN_IN_BACKGROUND)

    if header_timeout:
        hint = (
            f"The line `timeout = {header_timeout:g}` under [tool.codewords] in its header is this limit: give a higher "
            "number there and deploy again, or make it quicker."
        )
    else:
        hint = (
            "CODEWORDS_RUN_TIMEOUT is this limit; `timeout = SECONDS` under [tool.codewords] in its header sets one of its "
            "own. Or do less in one run."
        )
    return hint, None
