"""A client that stops reading holds no provider for ever."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from codewords_mcp.http.middleware.client_connection import ClientConnection, ClientGoneError
from codewords_mcp.http.routes import gateway
from codewords_mcp.runtime.model.provider import GatewayResponse


@pytest.mark.anyio
@pytest.mark.requirement("gateway:hang-up")
async def test_a_client_that_stops_reading_is_given_up_and_the_providers_call_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway, "STALLED", 0.01)
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"a piece that nobody reads"

    async def close() -> None:
        closed.set()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    reply = GatewayResponse(200, [], body(), close, lambda: None)
    with pytest.raises(ClientGoneError):
        async with ClientConnection(receive, [], limit=10) as connection:
            await gateway.pass_on(reply, connection, send)
    assert closed.is_set()


@pytest.mark.anyio
@pytest.mark.requirement("gateway:hang-up")
async def test_a_request_that_was_answered_is_freed_without_a_collection() -> None:
    messages = [{"type": "http.request", "body": b"{}", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        return {}

    async def send(_message: MutableMapping[str, Any]) -> None:
        pass

    gc.disable()
    try:
        async with ClientConnection(receive, [], limit=10) as connection:
            await connection.send(send, {}, 60)
            watched = weakref.ref(connection)
            connection.answered()
        del connection
        await asyncio.sleep(0)  # the watcher ends in the next turn of the loop

        assert watched() is None
    finally:
        gc.enable()
