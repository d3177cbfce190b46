"""Data models of webhooks and their deliveries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.caller import MadeBy

WebhookKind = Literal["plain", "hub", "standard", "stripe", "slack", "whatsapp"]
"""Sender type, which determines its signature scheme: `plain` none (the URL is the secret), `hub`
like GitHub (X-Hub-Signature-256), `standard` like standardwebhooks.com, `stripe`, `slack`,
`whatsapp`.
"""
DeliveryStatus = Literal["received", "started", "ignored", "paused", "failed", "refused"]
"""`received`: its runs are about to be started. `ignored`: no webhook matched. `paused`: each that
matched is paused. `refused`: the sender's signature is wrong.
"""


class Webhook(Model):
    """An address that starts a workflow. `secret` names the secret for the sender's signature.

    `paused`: what comes is stored and starts nothing. `socket`: of Slack's, the state of the socket
    by which its events also come, `paused` while it is paused; "" for others. `maker` is the workflow whose run made it, None
    for a person.
    """

    id: str
    kind: WebhookKind
    service_id: str
    path: str
    name: str = ""
    url: str
    secret: str | None = None
    filters: dict[str, Any] = Field(default_factory=dict[str, Any])
    created_at: datetime
    paused: bool = False
    socket: str = ""
    maker: str | None = None


class StartedRun(Model):
    """A run that a delivery started, for one webhook; `round` counts re-deliveries from 0."""

    webhook_id: str
    run_id: str
    round: int = 0


class Delivery(Model):
    """A received event. `repeats` counts further deliveries of it. `body` is text, set when a
    single delivery is read.
    """

    id: str
    kind: WebhookKind
    event: str
    status: DeliveryStatus
    reason: str = ""
    received_at: datetime
    size: int
    repeats: int = 0
    runs: list[StartedRun] = Field(default_factory=list[StartedRun])
    headers: dict[str, str] | None = None
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request at a webhook's address; header names in lower case."""

    endpoint: str
    method: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    made_by: MadeBy | None = None
    """The workflow whose run sent it; None where it came from outside."""


@dataclass(frozen=True, slots=True)
class WebhookResponse:
    """The response to the sender: text, or JSON."""

    body: str | dict[str, Any]
