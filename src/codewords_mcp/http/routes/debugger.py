"""The two ends of a debugger's connection: a draft's, for an editor, and a sandbox's own."""

from __future__ import annotations

from contextlib import suppress
from typing import Final
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from codewords_mcp.errors import NotFound
from codewords_mcp.http.state import SANDBOX, caller, runtime

BRIDGE_PATH: Final = "/debugger"
"""The path to which the bridge in a sandbox connects."""
_MAX_PROGRAM: Final = 500


class DebugSocket:
    """An ASGI websocket as the runtime takes it: binary messages both ways."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def receive(self) -> bytes | None:
        """See `DebugPipe`."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        data = message.get("bytes")
        if data is not None:
            return data
        return str(message.get("text") or "").encode()

    async def send(self, data: bytes) -> None:
        """See `DebugPipe`."""
        try:
            await self._send({"type": "websocket.send", "bytes": data})
        except RuntimeError as error:
            # The server raises it after its close frame.
            raise ConnectionResetError from error


async def serve_editor(scope: Scope, receive: Receive, send: Send) -> None:
    """`/drafts/{draft_id}/debugger`: the debugger of a served draft, for its owner. Raises NotFound."""
    draft_id = draft_of(scope["path"]) or ""
    drafts = runtime(scope).served_drafts
    await drafts.require_debugged(caller(scope), draft_id)
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    try:
        await drafts.join_debugger(draft_id, DebugSocket(receive, send))
    except NotFound as error:
        await send({"type": "websocket.close", "code": 1013, "reason": error.message})
        return
    await _close(send)


async def serve_bridge(scope: Scope, receive: Receive, send: Send) -> None:
    """`/debugger` of a sandbox: its bridge waits here for an editor. Raises NotFound for who comes from no sandbox."""
    # Set by the internal listener alone, so nobody else can name a sandbox.
    sandbox_id = scope.get("state", {}).get(SANDBOX)
    if sandbox_id is None:
        raise NotFound("There is no such websocket.")
    named = parse_qs(scope["query_string"].decode("latin-1")).get("program", [""])
    await receive()  # websocket.connect
    offering = runtime(scope).served_drafts.offer_debugger(
        sandbox_id, named[0][:_MAX_PROGRAM], DebugSocket(receive, send)
    )
    await send({"type": "websocket.accept"})
    with suppress(NotFound):
        await offering
    await _close(send)


async def _close(send: Send) -> None:
    try:
        await send({"type": "websocket.close", "code": 1000})
    except (OSError, RuntimeError):
        # It has gone.
        return


def draft_of(path: str) -> str | None:
    """The draft of an editor's path; None for another path."""
    parts = path.strip("/").split("/")
    if len(parts) == 3 and (parts[0], parts[2]) == ("drafts", "debugger"):
        return parts[1]
    return None
