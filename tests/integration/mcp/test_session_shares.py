"""Sessions that nobody ended, over real HTTP: they shut nobody out, and hold little while they wait."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp_types import JSONRPCResponse
from tests.integration.mcp.fake_runtime import FakeRuntime
from tests.support.mcp_clients import over_http, serving

from codewords_mcp.runtime.auth.session_shares import SessionShares
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:session-shares")]

KEYS = {name: Caller(owner=owner, kind="user", key_id=name) for name, owner in
        (("ann", "ann"), ("ann2", "ann"), ("bob", "bob"), ("carl", "carl"))}  # fmt: skip
PER_KEY, PER_OWNER, PER_HOME = 4, 6, 8
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


@pytest.fixture
async def url(runtime: FakeRuntime, settings: Settings) -> AsyncIterator[str]:
    shares = SessionShares(PER_KEY, PER_OWNER, PER_HOME)
    async with serving(runtime, settings, KEYS, shares=shares) as served:
        yield served


async def post(url: str, key: str, body: dict[str, Any], session: str = "") -> httpx2.Response:
    headers = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {key}"}
    if session:
        headers |= {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
    async with httpx2.AsyncClient() as http:  # each on a connection that goes away, as a probe's does
        return await http.post(url, json=body, headers=headers)


async def abandon(url: str, key: str) -> str:
    opened = await post(url, key, INITIALIZE)
    assert opened.status_code == 200, opened.text
    return opened.headers["mcp-session-id"]


async def test_abandoned_sessions_of_one_key_shut_nobody_out_and_go_from_the_oldest(url: str) -> None:
    theirs = await abandon(url, "bob")
    of_ann = [await abandon(url, "ann") for _ in range(50)]
    answers = [(await post(url, "ann", PING, session)).status_code for session in of_ann[-PER_KEY - 1 :]]
    assert answers == [404, *[200] * PER_KEY]
    assert (await post(url, "bob", PING, theirs)).status_code == 200
    for key in KEYS:
        async with over_http(url, key, "legacy") as client:
            assert (await client.list_tools()).tools


async def test_keys_of_one_owner_share_and_a_full_home_takes_from_who_holds_the_most(url: str) -> None:
    bobs = [await abandon(url, "bob") for _ in range(2)]
    for key in ("ann", "ann2") * 10:
        await abandon(url, key)
    carls = [await abandon(url, "carl") for _ in range(2)]
    assert {(await post(url, "bob", PING, session)).status_code for session in bobs} == {200}
    assert {(await post(url, "carl", PING, session)).status_code for session in carls} == {200}


async def test_a_session_that_is_used_stays_while_others_are_abandoned(url: str) -> None:
    used = await abandon(url, "ann")
    for _ in range(5 * PER_KEY):
        await abandon(url, "ann")
        assert (await post(url, "ann", PING, used)).status_code == 200


async def test_sse_sessions_are_counted_with_the_others_and_the_longest_idle_is_closed(url: str) -> None:
    address, headers = url.removesuffix("/mcp") + "/sse", {"Authorization": "Bearer ann"}
    async with sse_client(address, headers=headers) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        assert (await session.list_tools()).tools
        for _ in range(3 * PER_KEY):
            await abandon(url, "ann")
            await session.send_ping()
        assert (await session.list_tools()).tools, "one that listens and is used stays"
    async with anyio.create_task_group() as group:
        ended = asyncio.Queue[int]()

        async def connect(number: int, opened: asyncio.Event) -> None:
            async with (
                httpx2.AsyncClient(timeout=60) as http,
                http.stream("GET", address, headers=headers) as answer,
            ):
                async for _ in answer.aiter_lines():
                    opened.set()
            await ended.put(number)

        for number in range(PER_KEY + 2):
            opened = asyncio.Event()
            group.start_soon(connect, number, opened)
            await opened.wait()
        assert [await ended.get(), await ended.get()] == [0, 1]
        group.cancel_scope.cancel()


async def test_sessions_that_wait_keep_no_answers(url: str) -> None:
    """`tools/list` is 200 KB of objects; the SDK's transports would keep the last answer of each session."""
    listing = {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}
    for _ in range(PER_KEY):
        assert "list_workflows" in (await post(url, "ann", listing, await abandon(url, "ann"))).text
    gc.collect()
    kept = [one for one in gc.get_objects() if isinstance(one, JSONRPCResponse) and "tools" in one.result]
    assert kept == []
