"""The alerts of a home: the loop that makes them, and the one that sends them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.alerts.channels import AlertChannels, AlertNotice
from codewords_mcp.runtime.alerts.conditions import Conditions
from codewords_mcp.runtime.alerts.delivery import AlertDelivery
from codewords_mcp.runtime.alerts.on_failure import FailureWorkflows
from codewords_mcp.runtime.alerts.openings import AlertOpenings
from codewords_mcp.runtime.alerts.questions import Questions
from codewords_mcp.runtime.alerts.watcher import AlertWatcher
from codewords_mcp.runtime.gateway.budgets import Budgets
from codewords_mcp.runtime.model.alert import Alert, AlertChannel, AlertSettings, AlertTest
from codewords_mcp.runtime.model.disk_errors import DiskSpace
from codewords_mcp.runtime.model.events import AlertsChanged, EventBus, RunLeft
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.runs.wait_answers import WaitAnswers
from codewords_mcp.runtime.secrets.rotation import Keys
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.slack_socket_mode import SocketMode
from codewords_mcp.runtime.triggers.webhooks import WebhookService
from codewords_mcp.runtime.web.client import Web
from codewords_mcp.settings import Settings


class Alerts:
    """`watcher` makes alerts, `delivery` sends their messages by `channels`, `questions` are sent by the same channels.

    `address` gives the URL by which people reach the runtime. `audit_receivers` are the names of those that may stay away.
    """

    def __init__(
        self,
        database: Database,
        budgets: Budgets,
        disk: DiskSpace,
        secret_service: SecretService,
        web: Web,
        settings: Settings,
        address: Callable[[], str],
        events: EventBus,
        waits: WaitAnswers,
        keys: Keys,
        webhooks: WebhookService,
        socket_mode: SocketMode,
        audit_receivers: Sequence[str],
    ) -> None:
        self.channels = AlertChannels(secret_service, web, settings.slack_base_url, address)
        self.questions = Questions(
            database, waits, keys, self.channels, secret_service, web, settings, events, webhooks, socket_mode
        )
        self.delivery = AlertDelivery(database, self.channels)
        self._database = database
        self._address = address
        self._events = events
        self._starts: FailureWorkflows | None = None
        conditions = Conditions(database, budgets, disk, settings.memory_reserve, audit_receivers)
        self.watcher = AlertWatcher(database, conditions, self._changed)
        self.openings = AlertOpenings(database, events)
        events.subscribe(RunLeft, lambda event: self.watcher.run_ended(event.run_id))

    def start_by(self, start: Callable[[RunRequest], Awaitable[str]]) -> None:
        """Start workflows for failures by `start`, once runs can be started."""
        self._starts = FailureWorkflows(self._database, start, self._address, self.watcher.wake)

    def loops(self) -> list[PollLoop]:
        """Return the loops that run while the home is open."""
        return [
            self.watcher,
            self.delivery,
            self.openings,
            self.questions.delivery,
            *([self._starts] if self._starts is not None else []),
        ]

    def _changed(self) -> None:
        self.delivery.wake()
        if self._starts is not None:
            self._starts.wake()
        self._events.publish(AlertsChanged())

    async def send_test(self, owner: str, settings: AlertSettings, channel: AlertChannel) -> AlertTest:
        """Send a test message; the outcome."""
        at = datetime.now(UTC)
        alert = Alert(
            id="al_test",
            kind="run_failed",
            status="open",
            title="A test of the alerts of CodeWords",
            message="Nothing has failed. Messages of alerts arrive here.",
            count=1,
            path="/console/inbox",
            first_at=at,
            last_at=at,
        )
        notice = AlertNotice(f"am_{secrets.token_hex(12)}", "test", alert)
        try:
            await self.channels.send(owner, settings, channel, [notice])
        except CodewordsError as error:
            return AlertTest(channel=channel, problem=f"{error.message} {error.hint}".strip())
        return AlertTest(channel=channel)
