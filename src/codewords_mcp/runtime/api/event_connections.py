"""Connections between the parts of a home that concern each other and do not know each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewords_mcp.runtime.model.events import (
    DeliveryReceived,
    EnvironmentLost,
    RunLeft,
    SchedulesChanged,
    SecretsChangedElsewhere,
    WebhooksChanged,
)

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.container import Container


def connect_events(container: Container) -> None:
    """Let each part listen to the events of others that concern it."""
    listen = container.events.subscribe

    def on_webhooks_changed(_event: WebhooksChanged) -> None:
        container.webhook_dispatcher.wake()
        container.socket_mode.wake()

    listen(EnvironmentLost, lambda event: container.forget(event.service_id))
    listen(RunLeft, lambda event: container.browsers.run_ended(event.run_id))
    listen(SchedulesChanged, lambda _: container.scheduler.wake())
    listen(DeliveryReceived, lambda _: container.webhook_dispatcher.wake())
    listen(WebhooksChanged, on_webhooks_changed)
    listen(SecretsChangedElsewhere, lambda _: container.secrets.changed_elsewhere())
