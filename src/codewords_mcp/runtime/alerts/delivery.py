"""Sends messages of alerts. The store is its list, so that a crash loses none.

Each is sent at least once: one whose process dies while it sends is sent again, with the same id.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import structlog
from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.alerts.channels import AlertChannels, AlertNotice
from codewords_mcp.runtime.alerts.quiet_hours import end_of_quiet
from codewords_mcp.runtime.model.alert import UNRESOLVED, Alert, AlertChannel, AlertSettings
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.store import alert_messages as rows
from codewords_mcp.runtime.store.alert_messages import AlertMessage
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

POLL_INTERVAL, SHARED_POLL_INTERVAL = 30.0, 3.0
AT_ONCE = 100
"""Messages that are taken at once."""
SEND_TIMEOUT, LEASE = 20.0, 30.0
"""Seconds that one send may take; seconds for which messages that are being sent are nobody else's."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 3600.0
"""Seconds before the second try, doubled before each further one."""
TRIES = 16
"""Tries over some seven hours, after which a message is dropped. Its alert stays in the inbox."""
SPACING = 30.0
"""Seconds between two mails, or two Slack messages, to one owner: what comes meanwhile goes into the next."""
CLOCK_BACK = 5.0

log = structlog.get_logger(__name__)
_Place = tuple[str, AlertChannel]


class AlertDelivery(PollLoop):
    """Sends what is due. Messages to one owner by one channel are sent in turn, those of others meanwhile."""

    def __init__(
        self,
        database: Database,
        channels: AlertChannels,
        *,
        spacing: float = SPACING,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        super().__init__("messages of alerts are not sent", 5.0)
        self._db = database
        self._channels = channels
        self._spacing = spacing
        self._first_pause = first_pause
        self._sent_at: dict[_Place, float] = {}
        self._ahead: float | None = None
        """By how much the clock is ahead of the monotonic one, at the last look; None before the first."""

    async def poll(self) -> float:
        """See `PollLoop`."""
        ahead, self._ahead = self._ahead, time.time() - time.monotonic()
        if ahead is not None and self._ahead < ahead - CLOCK_BACK:
            await self._db.write(rows.make_due, now())

        while messages := await self._db.write(_take):
            await self._send_all(messages)

        due = await self._db.read(rows.next_due)
        longest = SHARED_POLL_INTERVAL if self._db.shared else POLL_INTERVAL
        return longest if due is None else max(0.05, min((due - now()) / 1e6, longest))

    async def _send_all(self, messages: list[AlertMessage]) -> None:
        by_place: defaultdict[_Place, list[AlertMessage]] = defaultdict(list)
        for message in messages:
            by_place[message.owner, message.channel].append(message)
        alerts = await self._db.read(rows.alerts_of, messages)

        async with asyncio.TaskGroup() as group:
            for place, some in by_place.items():
                group.create_task(self._send(place, some, alerts))

    async def _send(self, place: _Place, messages: list[AlertMessage], alerts: dict[str, Alert]) -> None:
        owner, channel = place
        settings = await self._db.read(rows.settings_of, owner)
        stale = [message for message in messages if _is_stale(message, alerts, settings)]
        if stale:
            await self._db.write(rows.drop, stale)
            messages = [message for message in messages if message not in stale]
        if not messages or await self._wait(place, messages, settings):
            return

        batches = [[message] for message in messages] if channel == "webhook" else [messages]
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
            problem = error.message if isinstance(error, CodewordsError) else "It did not answer in time."
            await self._fail(channel, messages, problem)
            return False

        await self._db.write(rows.settle, messages, now())
        return True

    async def _fail(self, channel: AlertChannel, messages: list[AlertMessage], problem: str) -> None:
        tries = max(message.tries for message in messages) + 1
        log.warning("alert not sent", channel=channel, tries=tries, reason=problem)
        if tries >= TRIES:
            await self._db.write(rows.drop, messages)
            return
        pause = min(self._first_pause * 2 ** (tries - 1), LONGEST_PAUSE)
        await self._db.write(rows.postpone, messages, now() + int(pause * 1e6), problem=problem)


def _take(connection: Connection) -> list[AlertMessage]:
    at = now()
    return rows.take_due(connection, at, at + int(LEASE * 1e6), AT_ONCE)


def _is_stale(message: AlertMessage, alerts: dict[str, Alert], settings: AlertSettings) -> bool:
    """Whether a message says nothing any more: its alert is gone or over, or its channel is not set."""
    alert = alerts.get(message.alert_id)
    if alert is None or message.channel not in settings.channels:
        return True
    return message.event == "opened" and alert.status not in UNRESOLVED
