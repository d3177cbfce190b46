"""One JSON-RPC id, one request of a session at a time: the second is answered at once, never left without an answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp.mcp_server.context import CALLER_KEY
from codewords_mcp.mcp_server.request_ids import with_unique_ids
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:request-ids")]


def from_caller(app: ASGIApp) -> ASGIApp:
    """The application with the caller that each request names."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        owner = Headers(raw=scope["headers"]).get("x-owner", "ann")
        await app({**scope, CALLER_KEY: Caller(owner, "user")}, receive, send)

    return called


def message(request_id: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "ping"}).encode()


async def test_a_second_request_of_an_id_is_refused_at_once_and_the_first_is_answered() -> None:
    held, arrived = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        arrived.set()
        await held.wait()
        await JSONResponse(json.loads(body))(scope, receive, send)

    transport = httpx.ASGITransport(from_caller(with_unique_ids(slow, 1 << 20)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:

        async def ask(content: bytes, session: str | None = "s", owner: str = "ann") -> httpx.Response:
            named = {"mcp-session-id": session} if session else {}
            return await client.post("/mcp", content=content, headers=named | {"x-owner": owner})

        first = asyncio.create_task(ask(message(1)))
        await arrived.wait()
        for same in (message(1), message("1"), message(1).replace(b'"id"', b'"\\u0069d"')):
            refused = await ask(same)
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == -32600
            assert str(refused.json()["id"]) == "1"
        asked: list[tuple[bytes, str | None]] = [
            (message(2), "s"),
            (message(1), "another"),
            (message(1), None),
            (b"not json", "s"),
            (b'{"id": 1, "result": {}}', "s"),
        ]
        others = [asyncio.create_task(ask(content, session)) for content, session in asked]
        stranger = asyncio.create_task(ask(message(1), owner="bob"))
        held.set()
        assert (await stranger).status_code == 200, "whether the session is another's, the application tells"
        assert (await first).json()["id"] == 1
        answers = await asyncio.gather(*others, return_exceptions=True)
        assert [one.status_code for one in answers if isinstance(one, httpx.Response)] == [200, 200, 200, 200]
        assert isinstance(answers[3], json.JSONDecodeError), (
            "what is no message is the application's to refuse"
        )
        assert (await ask(message(1))).status_code == 200, "the id is free again"


async def test_an_id_is_free_again_where_its_request_failed() -> None:
    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("on purpose")

    transport = httpx.ASGITransport(from_caller(with_unique_ids(fails, 1 << 20)))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        for _ in range(2):
            with pytest.raises(RuntimeError):
                await client.post("/mcp", content=message(1), headers={"mcp-session-id": "s"})
