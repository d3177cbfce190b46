"""The nouns of the runtime, as the facade takes and gives them. Times are timezone-aware UTC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from codewords_mcp.runtime.model.availability import Availability
from codewords_mcp.runtime.model.caller import Caller as Caller  # noqa: PLC0414  # said here once, read everywhere as a noun of the facade
from codewords_mcp.runtime.model.caller import MadeBy
from codewords_mcp.runtime.model.caller import Scope as Scope  # noqa: PLC0414
from codewords_mcp.runtime.model.manifest import Manifest

T = TypeVar("T")
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
Provider = Literal["openai", "anthropic", "gemini"]
Dialect = Literal["openai", "anthropic", "gemini"]
"""Whose shape errors have: Gemini is also called in OpenAI's."""
CostsBy = Literal["day", "workflow", "key", "run", "model"]
BudgetScope = Literal["call", "run", "workflow", "key", "home"]
BudgetPeriod = Literal["total", "month", "day"]
"""Calendar days and months in UTC."""
CheckStatus = Literal["passed", "failed", "warning", "note", "skipped"]
Progress = Callable[[float, float, str], Awaitable[None]]
"""`await progress(done, total, message)`; done ≤ total, a message a person can read."""


async def no_progress(done: float, total: float, message: str) -> None:
    """Drop progress: the default where nobody listens."""


class Model(BaseModel):
    """Base of the models below: immutable, closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Check(Model):
    """One check of a validation. `line` and `column` count from 1; `fix` is what to change, if known."""

    id: str
    status: CheckStatus
    message: str
    line: int | None = None
    column: int | None = None
    fix: str | None = None


class ValidationReport(Model):
    """`all_passed` is true when no check failed; warnings and notes do not fail. `report` is the same as text.

    `capabilities`: what it may do once it is deployed, in lines for a person; empty where the code could not be read.
    """

    all_passed: bool
    report: str
    checks: list[Check]
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None


class Deployment(Model):
    """A workflow as it is served now. `version` counts from 1; `version_id` names this immutable version.

    `changed` is false when the code was already live and nothing was done. `isolation` is the sandbox tier.
    `capabilities` is what it may do, in lines for a person; `manifest` the same as data, None for a version of before.
    `availability` says whether the address lasts.
    """

    service_id: str
    name: str
    version: int
    version_id: str
    url: str
    description: str = ""
    public: bool = False
    created_at: datetime
    changed: bool = True
    isolation: str
    notes: list[Check] = Field(default_factory=list[Check])
    timings_ms: dict[str, float] = Field(default_factory=dict[str, float])
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    availability: Availability | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's yes to what a version may do. `allow`: to all of it. `confirm`: the token of one certain question.

    `by_person`: whoever calls answers for a person having said yes to that token; else the page has to have it.
    `asker`: who asks, as the question tells it.
    """

    allow: bool = False
    confirm: str | None = None
    by_person: bool = False
    asker: str = ""


class WorkflowSummary(Model):
    """One line of a list."""

    service_id: str
    name: str
    version: int
    url: str
    description: str = ""
    updated_at: datetime


class Version(Model):
    """An immutable version of a workflow."""

    version: int
    version_id: str
    created_at: datetime
    active: bool
    description: str = ""


class WorkflowDetail(Model):
    """A workflow with its routes, versions and last runs; `code` only when asked for.

    `capabilities` and `manifest` are as in `Deployment`, of the version that is shown. `example` is an input to try it
    with: `given` with the version, by its header or its draft, or `derived` from its schema.
    """

    service_id: str
    name: str
    description: str
    url: str
    version: int
    routes: list[dict[str, Any]]
    env: list[dict[str, Any]]
    dependencies: list[str]
    versions: list[Version]
    last_runs: list[Run] = Field(default_factory=list["Run"])
    code: str | None = None
    capabilities: list[str] = Field(default_factory=list[str])
    manifest: Manifest | None = None
    example: Any = None
    example_from: Literal["given", "derived"] | None = None


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


UsageBy = Literal["workflow", "key", "day"]


class UsageSum(Model):
    """What the runs of one workflow, key or day used. Times in seconds, memory in bytes, cost in US dollars.

    Of a key, `of` is its id, None for the home's own key; runs that its runs have started are counted under it too.
    `egress_in` and `egress_out` are bytes that came from and went to destinations outside. Waiting is until a sandbox
    is started, starting until its program is asked, running until the end. `cost` is of machines and of models; `unpriced`
    counts calls of models without a known price, which are not in it.
    """

    of: str | None
    runs: int
    succeeded: int
    failed: int
    waiting_seconds: float
    starting_seconds: float
    running_seconds: float
    cpu_seconds: float
    peak_memory: int | None
    egress_in: int
    egress_out: int
    cost: float | None
    unpriced: int = 0


class LogLine(Model):
    """One line of a run's log. `created_at` is fixed width, UTC, microseconds; strictly rising, ≥ 1 ms apart."""

    created_at: str
    stream: Literal["stdout", "stderr", "platform"]
    message: str


class Page(BaseModel, Generic[T]):
    """A page of a list; `next_cursor` is None at the end."""

    items: list[T]
    next_cursor: str | None = None


class SecretInfo(Model):
    """A secret without its value; no operation returns one."""

    name: str
    created_at: datetime
    updated_at: datetime
    used_by: list[str] = Field(default_factory=list[str])
    held: Literal["placeholder", "plain"] = "plain"
    """Whether workflows get a placeholder that is swapped for the value on its way to `hosts`, or the value itself."""
    hosts: list[str] = Field(default_factory=list[str])
    places: list[str] = Field(default_factory=list[str])


class KeyRotation(Model):
    """What a change of the master key did: how many secrets, the new key's id, and where the old key is."""

    secrets: int
    key_id: str
    old_key: str


class SecretForm(Model):
    """What the page for typing a secret shows. Without `hosts` the value is a plain variable."""

    name: str
    users: list[str]
    hosts: list[str]
    places: list[str]


class KeyInfo(Model):
    """An API key without its text. `models`: names and patterns of the only models that it may ask; `scopes`: all that it
    may do; `toolsets`: the only ones that it sees, over MCP alone. None for all.
    """

    id: str
    prefix: str
    owner: str
    kind: Literal["admin", "user"]
    one_time: bool
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked: bool = False
    models: list[str] | None = None
    scopes: list[Scope] | None = None
    toolsets: list[str] | None = None


class Budget(Model):
    """A ceiling for model calls, in USD. `subject` is one workflow's or key's id; "" holds for each of them alone.

    `spent` and `reserved` are told for the home and for one workflow or key.
    """

    scope: BudgetScope
    subject: str = ""
    period: BudgetPeriod = "total"
    usd: float
    spent: float | None = None
    reserved: float | None = None


class FileLinks(Model):
    """Paths (no host) of a file's signed upload and download links."""

    file_id: str
    upload_path: str
    download_path: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file; `size` in bytes, `stored_as` its name among them."""

    filename: str
    content_type: str
    size: int
    stored_as: str


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


@dataclass(slots=True)
class ProviderRequest:
    """A call of a model provider, as its SDK made it.

    `path` is what follows `/openai`, percent-encoded, with its first slash; `run_mount` says that it followed
    `/run/openai`. `here` is how the caller reached Gemini's mount: `http://127.0.0.1:8765/gemini`. `length` is the body's
    size where it was declared.

    `may_wait`: it may be made again after a while; False where whoever asks repeats calls itself, or has another way.
    `may_switch`: a model of the same provider may answer instead. `instead_of`: this asks instead of that model already.
    """

    provider: Provider
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    caller: Caller
    run_mount: bool
    here: str
    length: int | None
    may_wait: bool = True
    may_switch: bool = True
    instead_of: str = ""


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What a model call used, by kind of token, and cost in USD; `cost` is None for a model without a price.

    `estimated`: the provider did not tell. `cached`: it was not asked; the tokens are those of when it was.
    """

    tokens: dict[str, int]
    cost: float | None
    estimated: bool
    cached: bool = False


@dataclass(slots=True)
class ProviderReply:
    """The provider's own answer, streamed. Iterate `body` to its end, or close it, which ends the call upstream.

    `used` gives what the call used once it is settled, None before and for calls that cost nothing.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]] = field(repr=False)
    used: Callable[[], CallUsage | None] = field(repr=False)


WorkflowDetail.model_rebuild()
