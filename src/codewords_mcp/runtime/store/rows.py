"""Rows of tables as readers get them and writers make them. Times are µs since 1970; columns are in `tables`.

Rows of runs are in `model/run_columns.py`; those of workflows, versions and drafts are classes of their modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.model.caller import CallerKind, MemberKind, Role
from codewords_mcp.runtime.model.run import RunStatus
from codewords_mcp.runtime.model.run_columns import ErrorEntry
from codewords_mcp.runtime.model.schedule import CatchUp, Overlap

LinkKind = Literal["secret", "consent", "connect", "browser"]


class KeyRow(TypedDict):
    """An API key. `models`, `scopes` and `toolsets` limit it; None does not. `member` is the id of the member it is of."""

    id: str
    hash: str
    prefix: str
    owner: str
    kind: CallerKind
    one_time: bool
    created_at: int
    expires_at: int | None
    used_at: int | None
    revoked: bool
    models: Sequence[str] | None
    scopes: Sequence[str] | None
    toolsets: Sequence[str] | None
    member: str | None


class MemberRow(TypedDict):
    """A member of the home. Without `joined_at` an invitation waits, whose token `invite_hash` is the digest of."""

    id: str
    name: str
    role: Role
    kind: MemberKind
    subject: str | None
    created_at: int
    joined_at: int | None
    invite_hash: str | None
    invited_until: int | None


class PasskeyRow(TypedDict):
    """A passkey of a member. `digest` is of the credential's id."""

    id: str
    member: str
    name: str
    rp_id: str
    digest: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    created_at: int
    used_at: int | None


class SecretRow(TypedDict):
    """A sealed secret. `rule` is a host rule, None for a plain one. With `source`, a reference, that is what is sealed.

    `expires_at`: when its issuer ends it, as its person said.
    """

    owner: str
    name: str
    key_id: str
    ciphertext: bytes
    rule: JsonObject | None
    source: str | None
    expires_at: NotRequired[int | None]
    created_at: int
    updated_at: int


class FileRow(TypedDict):
    """A file. `size` and `stored_as` are None before its upload is complete."""

    id: str
    owner: str
    filename: str
    content_type: str | None
    size: int | None
    created_at: int
    expires_at: int
    stored_as: str | None
    maker: str | None


class NewSchedule(TypedDict):
    """A schedule as it is made. `maker` is the workflow whose run made it."""

    id: str
    owner: str
    key_id: str | None
    service_id: str
    name: str
    method: str
    path: str
    input: JsonValue
    cron: str | None
    timezone: str
    catch_up: CatchUp
    overlap: Overlap
    jitter: float
    paused: bool
    first_dry: bool | None
    created_at: int
    next_at: int | None
    missed: int
    held_back: int
    note: str
    maker: str | None
    made_by: JsonObject | None


class ScheduleRow(NewSchedule):
    """A schedule as it is stored, with the time and id of the run that it started last."""

    last_at: int | None
    last_run_id: str | None


class ShownSchedule(ScheduleRow):
    """A schedule with the end of the run that it started last."""

    last_status: RunStatus | None
    last_error: ErrorEntry | None


class ScheduleChange(TypedDict, total=False):
    """The columns of a schedule that change."""

    paused: bool
    first_dry: bool
    next_at: int | None
    last_at: int
    last_run_id: str
    missed: int
    held_back: int
    note: str


class WebhookRow(TypedDict):
    """A webhook. `secret` is the name of the secret that signs its deliveries.

    `paused` is None in rows from before webhooks could be paused.
    """

    id: str
    endpoint: str
    owner: str
    key_id: str | None
    kind: str
    service_id: str
    path: str
    name: str
    filters: JsonObject
    secret: str | None
    created_at: int
    maker: str | None
    made_by: JsonObject | None
    paused: bool | None


class StartedEntry(TypedDict):
    """A run that a delivery started."""

    webhook_id: str
    run_id: str
    round: int


class ListedDelivery(TypedDict):
    """A delivery without its headers and body."""

    id: str
    endpoint: str
    key: str
    owner: str
    kind: str
    event: str
    about: JsonObject
    status: str
    reason: str
    received_at: int
    due_at: int
    tries: int
    round: int
    repeats: int
    size: int
    runs: list[StartedEntry]
    made_by: JsonObject | None


class DeliveryRow(ListedDelivery):
    """A delivery, whole."""

    headers: dict[str, str]
    body: bytes


class DeliveryChange(TypedDict, total=False):
    """The columns of a delivery that change."""

    status: str
    reason: str
    due_at: int
    tries: int
    runs: list[StartedEntry]


class TaskRow(TypedDict):
    """A call of a tool that outlasts its request. `arguments`, `outcome`, `asks` and `answers` are JSON."""

    id: str
    principal: str
    tool: str
    arguments: str
    status: str
    created_at: int
    updated_at: int
    expires_at: int
    executor: str
    beat_at: int
    message: str | None
    outcome: str | None
    asks: str | None
    answers: str | None


class TaskChange(TypedDict, total=False):
    """The columns of a task that change."""

    status: str
    message: str | None
    updated_at: int
    outcome: str | None
    asks: str | None
    answers: str | None


class LoginRow(TypedDict):
    """A sign-in of a workflow's own user. `code`, `link` and `ticket` are digests."""

    id: str
    owner: str
    app: str
    email: str
    code: str | None
    link: str | None
    ticket: str | None
    title: str
    return_url: str
    session_seconds: int
    tries: int
    created_at: int
    expires_at: int


class LoginSessionRow(TypedDict):
    """A session of a workflow's own user."""

    id: str
    owner: str
    app: str
    email: str
    created_at: int
    expires_at: int


class NewLink(TypedDict):
    """A one-time link as it is made; `id` is the digest of its token."""

    id: str
    kind: LinkKind
    owner: str
    subject: str
    key_id: str
    sealed: bytes
    answer: str | None


class LinkRow(NewLink):
    """A one-time link as it is stored."""

    created_at: int
    expires_at: int


class AgreementRow(TypedDict):
    """An agreement of an owner to run another owner's workflow. `digest` is of the manifest."""

    owner: str
    workflow_id: str
    digest: str
    manifest: JsonObject
    agreed_at: int


class ListedAgreement(AgreementRow):
    """An agreement with the name of the workflow and its owner."""

    name: str
    author: str


class PublishedRow(TypedDict):
    """A workflow that is published as a tool."""

    owner: str
    tool: str
    workflow_id: str
    toolset: str
    route: str
    method: str
    read_only: bool
    created_at: int


class ListedPublication(PublishedRow):
    """A published workflow with its name, description and live OpenAPI."""

    name: str
    description: str
    openapi: JsonObject


class ListedMessage(TypedDict):
    """A message that was not sent, without its text."""

    id: str
    run_id: str
    created_at: int
    recipients: list[str]
    subject: str


class OutboxRow(ListedMessage):
    """A message that was not sent."""

    owner: str
    message: str


class BrowserChange(TypedDict):
    """The things that a Chrome reports of itself, and the process that it is connected to."""

    name: str
    version: str
    url: str
    seen_at: int
    executor: str | None


class BrowserRow(BrowserChange):
    """A paired Chrome; `hash` is of its token."""

    owner: str
    hash: str
    paired_at: int
