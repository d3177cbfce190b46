"""The caller's end of a workflow's websocket."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from codewords_mcp.runtime.runs.websocket import WebSocketSession
from codewords_mcp.runtime.secrets.scrub import Scrubber

pytestmark = pytest.mark.anyio

_AHEAD = 500
"""Messages of 1000 bytes: more than a client takes in that does not read."""


@pytest.mark.requirement("runs:websocket")
@pytest.mark.parametrize("reading", [False, True])
async def test_a_talkative_workflow_closes_with_its_caller(reading: bool) -> None:
    is_ahead = asyncio.Event()

    async def flood(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for _ in range(_AHEAD):
                await connection.send("x" * 1000)
            is_ahead.set()
            while True:
                await connection.send("x" * 1000)

    async with serve(flood, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url, compression=None, close_timeout=2, proxy=None) as connection:
            session = WebSocketSession("run", connection, Scrubber({}))
            await is_ahead.wait()
            receiving = asyncio.create_task(_receive_all(session)) if reading else None

            await session.close(4000, "left")

            # It would be 1006, had the time limit ended it instead of the workflow's answer.
            assert session.close_code == 4000
            if receiving is not None:
                await receiving


async def _receive_all(session: WebSocketSession) -> None:
    while await session.receive() is not None:
        pass
