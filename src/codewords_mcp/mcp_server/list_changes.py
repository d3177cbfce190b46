"""`listChanged` notifications in both protocol eras, sent only to clients of the list's owner."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any

from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import ServerEvent
from mcp.shared.subscriptions import ResourcesListChanged, ToolsListChanged
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from codewords_mcp.mcp_server.context import RequestContext, caller_of
from codewords_mcp.runtime.model.change_events import Change

_STATE_KEY = "codewords.changes"
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

    def stream(self, owner: str, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listening stream of this owner; return the function that removes it."""
        key = object()
        self._streams[key] = (owner, listener)

        def remove() -> None:
            self._streams.pop(key, None)

        return remove

    def tell(self, owner: str, change: Change) -> None:
        """Notify all clients of the owner; a slow one delays no other."""
        for subscriber, listener in list(self._streams.values()):
            if subscriber == owner:
                listener(_EVENTS[change]())
        for subscriber, session in list(self._sessions.values()):
            if subscriber == owner:
                task = asyncio.create_task(_notify(session, change))
                self._telling.add(task)
                task.add_done_callback(self._telling.discard)


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
