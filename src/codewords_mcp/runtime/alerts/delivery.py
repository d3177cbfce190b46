"""Sends messages of alerts: those to one owner by one channel together, and none in quiet hours."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.alerts.channels import AlertChannels, AlertNotice
from codewords_mcp.runtime.alerts.message_loop import (
    FIRST_PAUSE,
    LEASE,
    SEND_TIMEOUT,
    MessageLoop,
)
from codewords_mcp.runtime.alerts.quiet_hours import end_of_quiet
from codewords_mcp.runtime.model.alert import UNRESOLVED, Alert, AlertChannel, AlertSettings
from codewords_mcp.runtime.runs.poll_loop import finish_all
from codewords_mcp.runtime.store import alert_messages as rows
from codewords_mcp.runtime.store.alert_messages import AlertMessage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

SPACING = 30.0
"""Seconds between two mails, or two Slack messages, to one owner: what comes meanwhile goes into the next."""
log = structlog.get_logger(__name__)
_Place = tuple[str, AlertChannel]


class AlertDelivery(MessageLoop[AlertMessage]):
    """Sends what is due. Messages to one owner by one channel are sent in turn, those of others meanwhile."""

    def __init__(
        self,
        database: Database,
        channels: AlertChannels,
        *,
        spacing: float = SPACING,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        super().__init__("messages of alerts are not sent", database, first_pause)
        self._channels = channels
        self._spacing = spacing
        self._sent_at: dict[_Place, float] = {}

    def take(self, connection: Connection, at: int, until: int, limit: int) -> list[AlertMessage]:
        """See `MessageLoop`."""
        return rows.take_due(connection, at, until, limit)

    def next_due(self, connection: Connection) -> int | None:
        """See `MessageLoop`."""
        return rows.next_due(connection)

    def make_due(self, connection: Connection, at: int) -> None:
        """See `MessageLoop`."""
        rows.make_due(connection, at)

    async def send_all(self, messages: list[AlertMessage]) -> None:
        """See `MessageLoop`."""
        by_place: defaultdict[_Place, list[AlertMessage]] = defaultdict(list)
        for message in messages:
            by_place[message.owner, message.channel].append(message)
        alerts = await self._db.read(rows.alerts_of, messages)

        # Each place by itself, so that one that does not answer holds up no other.
        await finish_all(self._send(place, some, alerts) for place, some in by_place.items())

    async def _send(self, place: _Place, messages: list[AlertMessage], alerts: dict[str, Alert]) -> None:
        owner, channel = place
        settings = await self._db.read(rows.settings_of, owner)
        stale = [message for message in messages if _is_stale(message, alerts, settings)]
        if stale:
            await self._db.write(rows.drop, stale)
            messages = [message for message in messages if message not in stale]
        if not messages or await self._wait(place, messages, settings):
            return

        # A program takes one alert a request; a person gets all that are due in one message.
        if channel == "webhook":
            batches = [[message] for message in messages]
        else:
            batches = [messages]
        began = time.monotonic()
        for batch in batches:
            # A slow receiver must not hold up what others get; what is left is due when the lease ends.
            if time.monotonic() - began > LEASE / 2 or not await self._try(place, batch, alerts, settings):
                break
        self._sent_at[place] = time.monotonic()

    async def _wait(self, place: _Place, messages: list[AlertMessage], settings: AlertSettings) -> bool:
        """Postpone messages in quiet hours, or right after others; whether that was done."""
        at = now()
        due = end_of_quiet(settings, at)
        if due <= at and place[1] != "webhook":
            pause = self._sent_at.get(place, -self._spacing) + self._spacing - time.monotonic()
            due = at + int(max(0.0, pause) * 1e6)
        if due <= at:
            return False
        await self._db.write(rows.postpone, messages, due)
        return True

    async def _try(
        self, place: _Place, messages: list[AlertMessage], alerts: dict[str, Alert], settings: AlertSettings
    ) -> bool:
        owner, channel = place
        notices = [AlertNotice(message.id, message.event, alerts[message.alert_id]) for message in messages]
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._channels.send(owner, settings, channel, notices)
        except (CodewordsError, TimeoutError) as error:
            if isinstance(error, CodewordsError):
                problem = error.message
            else:
                problem = "It did not answer in time."
            await self._fail(channel, messages, problem)
            return False

        await self._db.write(rows.settle, messages, now())
        return True

    async def _fail(self, channel: AlertChannel, messages: list[AlertMessage], problem: str) -> None:
        tries = max(message.tries for message in messages) + 1
        log.warning("alert not sent", channel=channel, tries=tries, reason=problem)
        due_at = self.next_try(tries)
        if due_at is None:
            # Its alert stays in the inbox.
            await self._db.write(rows.drop, messages)
            return
        await self._db.write(rows.postpone, messages, due_at, problem=problem)


def _is_stale(message: AlertMessage, alerts: dict[str, Alert], settings: AlertSettings) -> bool:
    """Whether a message says nothing any more: its alert is gone or over, or its channel is not set."""
    alert = alerts.get(message.alert_id)
    if alert is None or message.channel not in settings.channels:
        return True
    return message.event == "opened" and alert.status not in UNRESOLVED
