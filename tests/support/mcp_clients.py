"""Clients on the door: in this process, and over real HTTP behind a stand-in for the HTTP door's authentication."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import MCPServer
from mcp_types import (
    EmptyResult,
    SubscribeRequest,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)
from starlette.types import Receive, Scope, Send
from tests.support.certificates import TRUSTS_NONE
from tests.support.waiting import until_async

from codewords_mcp.cli.mcp_app import create_server
from codewords_mcp.http.middleware.errors import ErrorBoundary
from codewords_mcp.http.middleware.hosts import HostGuard, Trust
from codewords_mcp.mcp_server.http_transport import serve_http
from codewords_mcp.mcp_server.limits import DEFAULT_LIMITS, ServerLimits
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.auth.session_shares import SessionShares
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")


@asynccontextmanager
async def serving(
    runtime: Runtime,
    settings: Settings,
    keys: dict[str, Caller],
    mcp: MCPServer[Any] | None = None,
    *,
    limits: ServerLimits = DEFAULT_LIMITS,
    shares: SessionShares | None = None,
) -> AsyncGenerator[str]:
    """The door under a real uvicorn; each key is its caller. Gives the URL of `/mcp`."""
    app, lifespan = serve_http(mcp or create_server(runtime, settings, limits=limits), settings, shares)

    async def authenticated(scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if key in keys:
            scope["codewords.caller"] = keys[key]
            scope["codewords.listener"] = "sandbox" if keys[key].kind == "run" else "public"
        await guarded(scope, receive, send)

    guarded = ErrorBoundary(HostGuard(app, Trust(runtime, settings)))

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(authenticated, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with lifespan():
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def over_http(url: str, key: str, era: Era, **options: Any) -> AsyncGenerator[Client]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx2.AsyncClient(
                headers={"Authorization": f"Bearer {key}"}, timeout=httpx2.Timeout(30), verify=TRUSTS_NONE
            )
        )
        client = Client(streamable_http_client(url, http_client=http), mode=era, **options)
        yield await stack.enter_async_context(client)


def in_process(
    runtime: Runtime,
    settings: Settings,
    caller: Caller,
    era: Era,
    *,
    limits: ServerLimits = DEFAULT_LIMITS,
    **options: Any,
) -> Client:
    server = create_server(runtime, settings, caller=caller, limits=limits)
    return Client(server, mode=era, **options)


def text_of(result: Any) -> str:
    return "\n".join(item.text for item in result.content if isinstance(item, TextContent))


def data_of(result: Any) -> dict[str, Any]:
    """The structured content of a result that is not an error."""
    assert not result.is_error, text_of(result)
    return result.structured_content


async def confirmed(
    client: Client, tool: str, arguments: dict[str, Any], runtime: Runtime, person: Caller
) -> Any:
    """The result of a tool that asks first, by a client that cannot ask: the second call's, after the person's yes."""
    asked = await client.call_tool(tool, arguments)
    token = (asked.meta or {})["codewords/confirm"]
    await runtime.consents.decide(person, token, agreed=True)
    return await client.call_tool(tool, arguments | {"confirm": token})


async def subscribe(client: Client, uri: str) -> None:
    """As clients up to 2025-11-25 do; the client's own method is deprecated, the protocol's is what we serve."""
    request = SubscribeRequest(params=SubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


async def unsubscribe(client: Client, uri: str) -> None:
    request = UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri))
    await client.session.send_request(request, EmptyResult)


class Bare:
    """Requests of 2026-07-28 as they are on the wire: what the SDK's client has no words for yet."""

    def __init__(
        self,
        url: str,
        key: str,
        capabilities: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}", **(headers or {})}
        self._meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities or {},
        }
        self._ids = itertools.count(1)

    async def ask(self, method: str, params: dict[str, Any] | None = None, **headers: str) -> dict[str, Any]:
        """The whole JSON-RPC answer."""
        response = await self.post(method, params, **headers)
        return _answer(response)

    async def post(
        self, method: str, params: dict[str, Any] | None = None, **headers: str
    ) -> httpx2.Response:
        """The answer as it came."""
        params = params or {}
        named = params.get("name") or params.get("uri") or params.get("taskId")
        sent = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **({"Mcp-Name": named} if named else {}),
            **self._headers,
            **headers,
        }
        body = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": params | {"_meta": self._meta},
        }
        async with httpx2.AsyncClient(timeout=httpx2.Timeout(30), verify=TRUSTS_NONE) as http:
            return await http.post(self._url, json=body, headers=sent)

    async def result(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result; an error of the protocol fails the test."""
        answer = await self.ask(method, params)
        assert "result" in answer, answer
        return answer["result"]

    async def call(self, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
        """`tools/call`."""
        return await self.result("tools/call", {"name": tool, "arguments": arguments, **more})

    async def until_task(self, task_id: str, *status: str) -> dict[str, Any]:
        """Poll a task, as the protocol asks of clients, until it has one of these statuses."""

        async def poll() -> dict[str, Any]:
            task = await self.result("tasks/get", {"taskId": task_id})
            return task if task["status"] in status else {}

        return await until_async(poll, f"task {task_id} to be {' or '.join(status)}")


def _answer(response: httpx2.Response) -> dict[str, Any]:
    if "text/event-stream" in response.headers.get("content-type", ""):
        lines = [line[5:] for line in response.text.splitlines() if line.startswith("data:")]
        return next(found for line in lines if "id" in (found := json.loads(line)))
    return response.json()
