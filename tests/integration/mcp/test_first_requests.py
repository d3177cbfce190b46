"""The MCP server of a runtime is loaded at the first request for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.types import Message
from tests.support.mcp_clients import ERAS, Era, over_http
from tests.support.runtime import make_home, open_runtime
from tests.support.served_runtime import start_runtime

from codewords_mcp.cli.lazy_mcp_app import LazyMcpApp
from codewords_mcp.errors import InvalidInput
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("mcp:first-requests")
async def test_first_requests_that_come_together_are_all_answered_by_one_server(tmp_path: Path) -> None:
    with start_runtime(make_home(tmp_path / "home")) as runtime:

        async def list_tools(era: Era) -> list[str]:
            async with over_http(f"{runtime.url}/mcp", runtime.key, era) as client:
                return [tool.name for tool in (await client.list_tools()).tools]

        first, *others = await asyncio.gather(*(list_tools(era) for era in ERAS * 2))

    assert "run_workflow" in first
    assert others == [first] * 3


@pytest.mark.requirement("mcp:first-requests")
async def test_a_runtime_that_ends_while_its_first_request_waits_for_the_server_answers_it(
    tmp_path: Path,
) -> None:
    sent: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent.append(message["status"])

    home = make_home(tmp_path / "home")
    async with open_runtime(home) as runtime:
        app = LazyMcpApp(runtime, Settings(home=home))
        async with app.lifespan():
            request = asyncio.create_task(
                app({"type": "http", "method": "POST", "path": "/mcp", "headers": []}, receive, send)
            )
            await asyncio.sleep(0)
        await request

    # Without the middleware of the HTTP API it has no caller.
    assert sent == [401]


@pytest.mark.requirement("mcp:first-requests")
async def test_malformed_toolsets_are_refused_before_the_server_is_loaded(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home) as runtime:
        with pytest.raises(InvalidInput, match="Toolsets are names"):
            LazyMcpApp(runtime, Settings(home=home, toolsets=["No Such"]))
