"""Runs: their requests, responses, records and logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from codewords_mcp.errors import WriteUnknown
from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.caller import Caller, MadeBy

RunStatus = Literal[
    "provisioned",
    "queued",
    "starting",
    "running",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "interrupted",
]
ExecutionMode = Literal["dry_run", "apply", "replay", "resume"]
"""The way in which a run meets the world, None for an ordinary run: its writes are held, or only those are sent that a
person has agreed to, or all that it gets is from a recording.
"""
FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted"})


class RunError(Model):
    """The reason of a failed run. origin `service`: the workflow; `platform`: the runtime."""

    code: str
    message: str
    origin: Literal["platform", "service"]
    hint: str = ""
    remedy: Remedy | None = None


class Attempt(Model):
    """One attempt of a run. `outcome` is a final RunStatus, `suspended` where the run gave its sandbox back to wait, or
    None during the attempt.
    """

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


WaitsFor = Literal[
    "key", "caller", "workflow", "home", "turn", "time", "retry", "memory", "files", "answer", "wait"
]


class Step(Model):
    """A step that a workflow announced with `STEPLOG START <id>`."""

    id: str
    at: datetime


class RunInput(Model):
    """The request of a run. `content`: at most 16 KiB of text, without secrets; None if it is
    private or not text.

    `path` includes the query. `bytes` is the whole size; `truncated`: the body was longer than the
    stored part.
    """

    method: str
    path: str
    content_type: str | None = None
    content: str | None = None
    bytes: int = 0
    truncated: bool = False


class ResponseFile(Model):
    """A binary response, stored as a file of the run's owner.

    `download_uri` needs no key, until `expires_at`. Without a link, `problem` says why: the file is
    `storing`, was `too_large`, the store was `busy`, `store_failed`, or the file is `gone`.
    """

    file_id: str
    filename: str
    content_type: str
    size: int
    download_uri: str | None = None
    expires_at: datetime | None = None
    problem: Literal["storing", "too_large", "busy", "store_failed", "gone"] | None = None


NOT_STORED: Final = "(not kept: it holds something secret)"
"""Stored in place of a response that holds something secret."""


class TriggerRef(Model):
    """The trigger that started a run. `kind`: schedule, webhook, on_failure, or the kind of an event source.

    `id` names the trigger and `event` the event: a schedule's time, a delivery, or the key of a source's event.
    """

    kind: str
    id: str | None = None
    event: str | None = None


class Run(Model):
    """The record of a run. `response_content` is bounded text; `response_json` its JSON if it is
    JSON.

    It waits from `created_at`, its sandbox is started at `started_at`, and its program gets the
    request at `running_at`. `retries`: attempts beyond the first that its header asks for.
    `not_before`: time until which it is delayed. `depth`: length of the chain of calls before this
    one. `held`: a process owns it; the log of an ended run may still grow. `waits_for`: the reason
    for waiting: a limit that is reached (of its `key`, `caller`, `workflow` or the `home`), its
    `turn` behind others, its `time`, the pause before another attempt (`retry`), `memory` of the
    machine, the `answer` of a person, or the time that its program waits for (`wait`).
    `trigger` is None where a person, a program or another run started it.
    `input` is set once the run has ended. `mode_of`: the run that this one repeats; below a dry run, the one on whose list
    its writes are.
    """

    id: str
    owner: str
    service_id: str | None = None
    version: int | None = None
    status: RunStatus
    created_at: datetime
    started_at: datetime | None = None
    running_at: datetime | None = None
    completed_at: datetime | None = None
    response_status: int | None = None
    response_content: str | None = None
    response_json: Any = None
    response_truncated: bool = False
    response_file: ResponseFile | None = None
    correlation_id: str | None = None
    parent_id: str | None = None
    error: RunError | None = None
    attempts: list[Attempt] = Field(default_factory=list[Attempt])
    steps: list[Step] = Field(default_factory=list[Step])
    usage: dict[str, Any] = Field(default_factory=dict[str, Any])
    timings_ms: dict[str, float] = Field(default_factory=dict[str, float])
    isolation: str | None = None
    background: bool = False
    retries: int = 0
    depth: int = 0
    not_before: datetime | None = None
    schedule_id: str | None = None
    trigger: TriggerRef | None = None
    held: bool = False
    waits_for: WaitsFor | None = None
    input: RunInput | None = None
    mode: ExecutionMode | None = None
    mode_of: str | None = None

    @property
    def asks(self) -> bool:
        """Whether it ended with a question about its writes: with the answers it goes on as another run."""
        return self.error is not None and self.error.code == WriteUnknown.code


class LogLine(Model):
    """One line of a run's log. `created_at` is fixed width, UTC, microseconds; strictly rising, ≥ 1
    ms apart.
    """

    created_at: str
    stream: Literal["stdout", "stderr", "platform"]
    message: str


@dataclass(slots=True)
class RunRequest:
    """A request to a workflow or library service.

    `path` starts with "/" and excludes the query; `query` is raw; `headers` are lower-case byte
    pairs as in an ASGI scope. `body` yields chunks. `timeout` and `delay` are seconds; `priority`
    is 1 (first) to 100, among the waiting runs of one caller.
    """

    service_id: str
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    caller: Caller
    request_id: str | None = None
    correlation_id: str | None = None
    idempotency_key: str | None = None
    background: bool = False
    timeout: float | None = None
    priority: int = 50
    delay: float = 0.0
    schedule_id: str | None = None
    trigger: TriggerRef | None = None
    made_by: MadeBy | None = None
    mode: ExecutionMode | None = None
    mode_of: str | None = None
    """The run that an `apply` or `replay` repeats; below a dry run, the one on whose list its writes are."""
    trace_parent: str | None = None
    """The caller's `traceparent` header, where it is valid (W3C Trace Context)."""
    own_origin: bool = False
    """The request came to the workflow's own origin, so its cookies and its `Authorization` are the workflow's own."""
    repeat_key: str | None = None
    """The idempotency key of a call that waits, which names the wait within its run."""
    on_record: Callable[[Any, str], None] | None = None
    """Called with the database connection of the transaction that records a background run, and the run's id. What it raises
    undoes that.
    """


@dataclass(slots=True)
class RunResponse:
    """A workflow's own response, streamed. Iterate `body` to its end or close it: closing early
    cancels the run.
    """

    run_id: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]] = field(repr=False)
