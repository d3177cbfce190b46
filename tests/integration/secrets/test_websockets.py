"""Websockets to a host with a rule, by real clients: opened with the value, and looked into both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from tests.integration.secrets.interception import HOST, NAME, VALUE, Ground, connect, ground
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("rules:websockets")]

LABEL = f"[secret {NAME}]"


@asynccontextmanager
async def opened(stage: Ground, path: str = "/talk") -> AsyncGenerator[ClientConnection]:
    sock = await asyncio.to_thread(connect, stage)
    assert (await asyncio.to_thread(sock.recv, 100)).startswith(b"HTTP/1.1 200")
    async with open_websocket(
        f"wss://{HOST}:{stage.host.port}{path}",
        sock=sock,
        ssl=stage.context,
        server_hostname=HOST,
        additional_headers={"Authorization": f"Bearer {stage.placeholder}"},
        proxy=None,
        max_size=16 << 20,
    ) as websocket:
        yield websocket


async def test_it_opens_with_the_value_in_header_and_query_and_messages_of_any_size_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",), places=("header", "query")) as stage:
        async with opened(stage, f"/talk?key={stage.placeholder}") as websocket:
            first = await websocket.recv()
            assert isinstance(first, str)
            assert (first[: len(LABEL) + 7], len(first)) == (f"Bearer {LABEL}", len(f"Bearer {VALUE}"))
            assert "Sec-WebSocket-Extensions" not in (
                websocket.response.headers if websocket.response else {}
            )
            await websocket.send("hello")
            assert await websocket.recv() == "heard hello"
            for size in (0, 125, 126, 65535, 65536, 5 << 20):
                await websocket.send(bytes(size))
                assert await websocket.recv() == bytes(size)
            await (await websocket.ping())
        assert stage.host.asked[0]["query"] == f"key={quote(VALUE, safe='')}"
        assert stage.host.asked[0]["headers"]["authorization"] == f"Bearer {VALUE}"
        assert "sec-websocket-extensions" not in stage.host.asked[0]["headers"]
        assert stage.refusals == []


async def test_aiohttp_that_offers_compression_speaks_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",)) as stage:
        headers = {"Authorization": f"Bearer {stage.placeholder}"}
        proxy, url = f"http://127.0.0.1:{stage.proxy}", f"wss://{HOST}:{stage.host.port}/talk"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                url, proxy=proxy, ssl=stage.context, headers=headers, compress=15, max_msg_size=0
            ) as websocket,
        ):
            assert LABEL in await websocket.receive_str()
            await websocket.send_str("hello" * 100_000)
            assert await websocket.receive_str() == "heard " + "hello" * 100_000
            await websocket.send_str(f"leaked {stage.placeholder}")
            told = await websocket.receive()
            assert (told.type, told.data) == (aiohttp.WSMsgType.CLOSE, 1008)
            assert "holds the placeholder of STRIPE_API_KEY" in (told.extra or "")
        assert "a message of its websocket holds the placeholder" in stage.refusals[0]


@pytest.mark.parametrize("how", ["text", "fragments", "ping"])
async def test_a_placeholder_in_a_message_ends_it_before_the_host_has_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with ground(tmp_path, monkeypatch, protocols=("http/1.1",)) as stage:
        held = f"key={stage.placeholder}"
        pieces: Iterable[str] = [held[:30], held[30:40], held[40:]]
        async with opened(stage) as websocket:
            await websocket.recv()
            if how == "ping":
                await websocket.ping(held)
            else:
                await websocket.send(pieces if how == "fragments" else held)
            with pytest.raises(ConnectionClosed) as ended:
                await websocket.recv()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1008
        assert "holds the placeholder of STRIPE_API_KEY" in ended.value.rcvd.reason
        assert [one for one in stage.host.asked if one.keys() & {"text", "bytes"}] == []
        assert len(stage.refusals) == 1
