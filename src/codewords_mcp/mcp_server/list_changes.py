"""`listChanged` notifications in both protocol eras, and alerts as log messages; only for clients of their owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from contextlib import suppress
from typing import Any, get_args

from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ServerEvent
from mcp.shared.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp_types import LoggingLevel, LoggingMessageNotification, LoggingMessageNotificationParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from codewords_mcp.mcp_server.access import access_of
from codewords_mcp.mcp_server.context import RequestContext, caller_of
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.alert import Alert
from codewords_mcp.runtime.model.change_events import Change

_STATE_KEY = "codewords.changes"
LEVEL_KEY = "codewords.level"
"""In a connection's state: the least level of log messages that its client wants."""
LEVELS: tuple[LoggingLevel, ...] = get_args(LoggingLevel)
ALERT_LEVEL: LoggingLevel = "warning"
_READS_ALERTS = TABLE.get("http", "GET /alerts")
_MAX_TITLE, _MAX_MESSAGE = 200, 600
_EVENTS: dict[Change, Callable[[], ServerEvent]] = {
    "workflows": ResourcesListChanged,
    "tools": ToolsListChanged,
}


class ListChangeNotifier:
    """Listeners by owner: streams of protocol 2026-07-28, and sessions of earlier versions."""

    def __init__(self, connection_of: Callable[[RequestContext], Connection]) -> None:
        self._connection_of = connection_of
        self._streams: dict[Hashable, tuple[str, Callable[[ServerEvent], None]]] = {}
        self._sessions: dict[Hashable, tuple[str, ServerSession]] = {}
        self._alerted: dict[Hashable, tuple[str, Connection, ServerSession]] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def seen(self, ctx: RequestContext) -> None:
        """Register a legacy session from its first request to its end."""
        # Later versions have no sessions; before `initialize` is done a client must not be
        # notified.
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS or ctx.method == "initialize":
            return
        connection = self._connection_of(ctx)
        if _STATE_KEY in connection.state:
            return
        connection.state[_STATE_KEY] = key = object()
        self._sessions[key] = (caller_of(ctx).owner, ctx.session)
        connection.exit_stack.callback(self._sessions.pop, key, None)
        if access_of(ctx).refusal(_READS_ALERTS) is None:
            self._alerted[key] = (caller_of(ctx).owner, connection, ctx.session)
            connection.exit_stack.callback(self._alerted.pop, key, None)

    def stream(self, owner: str, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listening stream of this owner; return the function that removes it."""
        key = object()
        self._streams[key] = (owner, listener)

        def remove() -> None:
            self._streams.pop(key, None)

        return remove

    def tell(self, owner: str, change: Change) -> None:
        """Notify all clients of the owner; a slow one delays no other."""
        # Copies: sessions end while others are told.
        for subscriber, listener in list(self._streams.values()):
            if subscriber == owner:
                listener(_EVENTS[change]())
        for subscriber, session in list(self._sessions.values()):
            if subscriber == owner:
                self._start(_notify(session, change))

    def tell_alert(self, owner: str, alert: Alert) -> None:
        """Send an alert that opened to the sessions of its owner, as a log message of the level `warning`.

        From 2026-07-28 on the protocol has no messages but within the response that asked for them.
        """
        data = {
            "alert": alert.id,
            "kind": alert.kind,
            "title": one_line(alert.title, _MAX_TITLE),
            "message": one_line(alert.message, _MAX_MESSAGE),
            "run_id": alert.run_id,
        }
        # A copy: sessions end while others are told.
        for subscriber, connection, session in list(self._alerted.values()):
            level = connection.state.get(LEVEL_KEY, ALERT_LEVEL)
            if subscriber == owner and LEVELS.index(level) <= LEVELS.index(ALERT_LEVEL):
                self._start(_send(session, data))

    def _start(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


async def _send(session: ServerSession, data: dict[str, Any]) -> None:
    params = LoggingMessageNotificationParams(level=ALERT_LEVEL, logger="codewords.alerts", data=data)
    with suppress(Exception):  # the client may be gone
        async with asyncio.timeout(5):
            await session.send_notification(LoggingMessageNotification(params=params))


async def _notify(session: Any, change: Change) -> None:
    if change == "workflows":
        send = session.send_resource_list_changed
    else:
        send = session.send_tool_list_changed
    try:
        async with asyncio.timeout(5):
            await send()
    except Exception:  # noqa: BLE001, S110  # the client may be gone
        pass
