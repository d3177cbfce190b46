"""Websockets of served files, passed on to the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from codewords_mcp.cli._client import RuntimeEndpoint
from codewords_mcp.cli.dev.served_file import ServedFile

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_ABNORMAL = 1011
_NO_CODE = {1005, 1006}
"""Codes that say that none was sent; none may be sent for them."""


async def pass_websocket(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
    found: tuple[ServedFile, str] | None,
    runtime: RuntimeEndpoint,
) -> None:
    """Connect a websocket to the file that serves its path. One that is not served is refused."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    # ASGI's first message is `websocket.connect`, which says no more than the scope.
    await receive()
    if found is not None:
        await found[0].refresh()
    if found is None or found[0].problem is not None:
        await send({"type": "websocket.close", "code": _ABNORMAL})
        return

    file, path = found
    query = scope["query_string"].decode("latin-1")
    target = f"ws{runtime.url.removeprefix('http')}/run/{file.draft_id}{path}" + (
        f"?{query}" if query else ""
    )
    protocols: Any = scope.get("subprotocols") or None
    try:
        # Accepted only once the workflow accepts: it may refuse, and it chooses the subprotocol.
        async with connect(
            target, additional_headers=runtime.headers, subprotocols=protocols, proxy=None, max_size=None
        ) as connection:
            await send({"type": "websocket.accept", "subprotocol": connection.subprotocol})
            await _carry(connection, receive, send)
    except (WebSocketException, OSError):
        await send({"type": "websocket.close", "code": _ABNORMAL})


async def _carry(
    connection: ClientConnection,
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Carry messages both ways until either end closes."""

    async def outward() -> None:
        async for message in connection:
            name = "text" if isinstance(message, str) else "bytes"
            await send({"type": "websocket.send", name: message})
        code = connection.close_code
        await send({"type": "websocket.close", "code": 1000 if code in {None, *_NO_CODE} else code})

    async def inward() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await connection.send(cast("str | bytes", message.get("text") or message.get("bytes") or ""))
        await connection.close()

    tasks = {asyncio.create_task(outward()), asyncio.create_task(inward())}
    try:
        # Either end may close first, and the other task would wait for ever.
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
