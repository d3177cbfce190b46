"""Alerts of the caller: what failed while nobody waited for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.alerts.settings_check import check_settings
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.alert import Alert, AlertSettingsState, AlertStatus, AlertTest
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.events import AlertOpened, AlertsChanged
from codewords_mcp.runtime.store import alert_messages as message_rows
from codewords_mcp.runtime.store import alerts as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.triggers.webhook_receiver import SECRETS, shared_endpoint


class AlertApi:
    """Alerts by owner. Those of the home itself (budgets, disk, restarts) are its owner's."""

    def __init__(self, container: Container) -> None:
        self._container = container
        container.events.subscribe(
            AlertOpened, lambda event: container.announcements.announce_alert(event.owner, event.alert)
        )

    async def acknowledge(self, caller: Caller, alert_id: str) -> Alert:
        """Note that a person knows: the alert stays until what failed works, and is sent no more. Raises NotFound."""
        return await self._answer(caller, alert_id, "acknowledged")

    async def dismiss(self, caller: Caller, alert_id: str) -> Alert:
        """Put an alert away. The next failure of its kind opens it again. Raises NotFound."""
        return await self._answer(caller, alert_id, "dismissed")

    async def settings(self, caller: Caller) -> AlertSettingsState:
        """Return the caller's settings, and what keeps messages from being sent."""
        refuse_run(caller, "read the settings of alerts")
        database = self._container.database
        settings = await database.read(message_rows.settings_of, caller.owner)
        problems = await database.read(message_rows.problems, caller.owner)
        webhooks = self._container.webhooks
        urls = {kind: webhooks.url_of(shared_endpoint(caller.owner, kind)) for kind in SECRETS}
        return AlertSettingsState(settings=settings, problems=problems, answer_urls=urls)

    async def change_settings(self, caller: Caller, changes: Mapping[str, Any]) -> AlertSettingsState:
        """Change settings by name; others stay. Raises InvalidInput, MissingCredential for a channel that can't be used."""
        refuse_run(caller, "change the settings of alerts")
        before = await self._container.database.read(message_rows.settings_of, caller.owner)
        settings = before.model_copy(update=dict(changes))
        # `model_copy` validates nothing.
        check_settings(settings)
        await self._container.alerts.channels.require(caller.owner, settings)

        await self._container.database.write(message_rows.store_settings, caller.owner, settings)
        return await self.settings(caller)

    async def send_test(self, caller: Caller) -> list[AlertTest]:
        """Send a test message by each channel that is set; how each went. Raises InvalidInput where none is set."""
        refuse_run(caller, "send alerts")
        settings = await self._container.database.read(message_rows.settings_of, caller.owner)
        if not settings.channels:
            raise InvalidInput(
                "No channel is set, so there is nothing to test.", hint="Set a webhook, e-mail or Slack."
            )
        return [
            await self._container.alerts.send_test(caller.owner, settings, channel)
            for channel in settings.channels
        ]

    async def _answer(self, caller: Caller, alert_id: str, status: AlertStatus) -> Alert:
        refuse_run(caller, "answer alerts")
        found = await self._container.database.write(rows.answer, caller.owner, alert_id, status, now())
        if found is None:
            raise NotFound("There is no alert of this id.", remedy=Remedy(RemedyAction.LIST_ALERTS))
        self._container.events.publish(AlertsChanged())
        return found

    async def list(self, caller: Caller, *, unresolved: bool = True, limit: int = 100) -> list[Alert]:
        """List alerts, the newest failure first; `unresolved`: without those that are over."""
        refuse_run(caller, "read alerts")
        return await self._container.database.read(
            rows.of_owner, caller.owner, unresolved=unresolved, limit=limit
        )
