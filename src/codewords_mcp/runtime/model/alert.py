"""Alerts: failures that nobody waits for, told to the person whose they are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model

AlertKind = Literal[
    "run_failed",
    "run_overdue",
    "schedule_failing",
    "schedule_missed",
    "schedule_stopped",
    "delivery_failed",
    "on_failure_failed",
    "trigger_failing",
    "trigger_stopped",
    "trigger_missed",
    "budget_low",
    "budget_spent",
    "connection_lost",
    "runtime_restarted",
    "disk_low",
    "memory_low",
    "key_expiring",
    "secret_expiring",
    "audit_unsent",
]
"""The failure that an alert is about."""
AlertStatus = Literal["open", "acknowledged", "dismissed", "resolved"]
"""`acknowledged`: a person knows, and it is told no more until it is resolved. `dismissed`: a person put it away.
`resolved`: what failed works again.
"""
TIME_OF_DAY = r"^(|([01]\d|2[0-3]):[0-5]\d)$"
"""The form of a time of the day, as in 22:00; empty for none."""
UNRESOLVED: tuple[AlertStatus, ...] = ("open", "acknowledged")


class Alert(Model):
    """Equal failures, counted. `path` is the page of the console that shows the last one.

    `count` is how often it happened since it was first open. `notified_at` is when a message of it was last sent.
    """

    id: str
    kind: AlertKind
    status: AlertStatus
    title: str
    message: str
    count: int
    path: str
    service_id: str | None = None
    schedule_id: str | None = None
    run_id: str | None = None
    first_at: datetime
    last_at: datetime
    resolved_at: datetime | None = None
    notified_at: datetime | None = None


AlertChannel = Literal["webhook", "email", "slack"]
AlertedRuns = Literal["triggered", "background", "none"]
"""Runs whose failure is an alert: those of triggers, all that nobody waits for, or none."""


class AlertSettings(Model):
    """The ways by which an owner's alerts go out beside the inbox, and their times.

    `webhook` is an address, whose messages are signed with the secret named `webhook_secret`; `email` are addresses;
    `slack` is a channel. `muted` kinds stay in the inbox. At most one message of an alert is sent in `interval_minutes`,
    and none from `quiet_from` until `quiet_until`, both like 22:00 in `timezone`; "" is no quiet time.
    """

    runs: AlertedRuns = "triggered"
    muted: tuple[AlertKind, ...] = ()
    webhook: str = Field(default="", max_length=2000)
    webhook_secret: str = Field(default="ALERT_WEBHOOK_SECRET", max_length=64)
    email: tuple[str, ...] = Field(default=(), max_length=10)
    slack: str = Field(default="", max_length=80)
    interval_minutes: int = Field(default=15, ge=1, le=1440)
    quiet_from: str = Field(default="", pattern=TIME_OF_DAY)
    quiet_until: str = Field(default="", pattern=TIME_OF_DAY)
    timezone: str = Field(default="UTC", max_length=64)

    @property
    def channels(self) -> tuple[AlertChannel, ...]:
        """The channels that are set."""
        found: list[AlertChannel] = []
        if self.webhook:
            found.append("webhook")
        if self.email:
            found.append("email")
        if self.slack:
            found.append("slack")
        return tuple(found)


class AlertSettingsState(Model):
    """The settings with what went wrong: by channel, the reason why the last try of a waiting message failed.

    `answer_urls` are the addresses to which Slack and WhatsApp send presses of a question's buttons.
    """

    settings: AlertSettings
    problems: dict[str, str]
    answer_urls: dict[str, str]


class AlertTest(Model):
    """The outcome of a test message. `problem` is empty where it was accepted."""

    channel: AlertChannel
    problem: str = ""
