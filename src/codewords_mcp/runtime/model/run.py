"""Runs: their requests, responses, records and logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

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
FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "timed_out", "cancelled", "interrupted"})


class RunError(Model):
    """Why a run did not succeed. origin `service`: the workflow; `platform`: the runtime."""

    code: str
    message: str
    origin: Literal["platform", "service"]
    hint: str = ""


class Attempt(Model):
    """One try at a run. `outcome` is a RunStatus that is final, or None while it lasts."""

    number: int
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None


WaitsFor = Literal["key", "caller", "workflow", "home", "turn", "time", "retry", "memory"]


class Step(Model):
    """A step a workflow announced with `STEPLOG START <id>`."""

    id: str
    at: datetime


class RunInput(Model):
    """What a run was asked. `content` is at most 16 KiB of text, without secrets; None where it is private or no text.

    `path` has the query; `bytes` is the whole size, `truncated` says that more came than is kept.
    """

    method: str
    path: str
    content_type: str | None = None
    content: str | None = None
    bytes: int = 0
    truncated: bool = False


class AnswerFile(Model):
    """A binary answer, stored as a file of the run's owner. `download_uri` needs no key, until `expires_at`; without one
    `problem` says why: it is `storing`, was `too_large`, the store was `busy` or `store_failed`, or the file is `gone`.
    """

    file_id: str
    filename: str
    content_type: str
    size: int
    download_uri: str | None = None
    expires_at: datetime | None = None
    problem: Literal["storing", "too_large", "busy", "store_failed", "gone"] | None = None


class Run(Model):
    """The record of a run. `response_content` is bounded text; `response_json` its JSON where it is JSON.

    It waits from `created_at`, has a sandbox started for it from `started_at`, and its program is asked from
    `running_at`. `retries`: attempts beyond the first that its header asks for. `not_before`: it was delayed to this
    time. `depth`: how many workflows called each other before this one. `held`: a process has it; of an ended run,
    its log may still grow. `waits_for`: what a waiting run waits for: a limit that is reached (of its `key`, `caller`,
    `workflow` or the `home`), its `turn` behind others, its `time`, the pause before another attempt (`retry`), or
    `memory` of the machine. `input` is there once the run has ended.
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
    response_file: AnswerFile | None = None
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
    held: bool = False
    waits_for: WaitsFor | None = None
    input: RunInput | None = None


class LogLine(Model):
    """One line of a run's log. `created_at` is fixed width, UTC, microseconds; strictly rising, ≥ 1 ms apart."""

    created_at: str
    stream: Literal["stdout", "stderr", "platform"]
    message: str


@dataclass(slots=True)
class RunRequest:
    """A call of a workflow or library service.

    `path` starts with "/", without the query; `query` is raw; `headers` are lower-case byte pairs as an ASGI
    scope has them. `body` yields chunks. `timeout` and `delay` are seconds; `priority` is 1 (first) to 100, among the
    waiting runs of one caller.
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
    made_by: MadeBy | None = None


@dataclass(slots=True)
class RunResponse:
    """A workflow's own answer, streamed. Iterate `body` to its end or close it: closing early cancels the run."""

    run_id: str
    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]] = field(repr=False)
