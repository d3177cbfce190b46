"""Messages that are served without a stream: the same answers, and no way around what their headers say."""

from __future__ import annotations

import json

import anyio
import httpx2
import pytest
from tests.integration.mcp.fake_runtime import FakeRuntime
from tests.support.mcp_clients import Bare

from codewords_mcp.tools import all_tools

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("mcp:brief")]


async def test_a_brief_tool_answers_the_same_with_and_without_a_length_of_its_body(url: str) -> None:
    call = {"name": "read_practice", "arguments": {"topic": "state"}}
    brief = await Bare(url, "ann").result("tools/call", call)
    body: dict[str, object] = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": call | {"_meta": _META},
    }

    async def pieces():
        yield json.dumps(body).encode()

    async with httpx2.AsyncClient() as http:
        streamed = await http.post(url, content=pieces(), headers=_headers("tools/call", "read_practice"))
    assert streamed.json()["result"] == brief
    assert "State between runs" in brief["content"][0]["text"]


async def test_headers_of_a_brief_tool_open_no_way_to_another(url: str, runtime: FakeRuntime) -> None:
    body = {"name": "run_workflow", "arguments": {"workflow_id": "greeting_12345678"}}
    told = await Bare(url, "ann").ask("tools/call", body, **{"Mcp-Name": "read_practice"})
    assert told["error"]["code"] == -32020, told
    assert runtime.recorded == {}
    told = await Bare(url, "ann").ask("tools/call", body, **{"Mcp-Method": "tools/list"})
    assert told["error"]["code"] == -32020, told


async def test_a_client_that_takes_no_streams_is_refused_as_the_protocol_wants_it(url: str) -> None:
    answer = await Bare(url, "ann").post("tools/list", Accept="application/json")
    assert answer.status_code == 406


async def test_a_client_that_hangs_up_at_once_leaves_the_server_as_it_was(url: str) -> None:
    host, port = url.removeprefix("http://").removesuffix("/mcp").split(":")
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": _META}}
    ).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in _headers("tools/list").items())
    for _ in range(20):
        async with await anyio.connect_tcp(host, int(port)) as stream:
            await stream.send(
                f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
    assert (await Bare(url, "ann").result("tools/list"))["tools"]


def test_only_tools_that_read_at_once_are_brief() -> None:
    brief = [tool for tool in all_tools() if tool.is_brief]
    assert {"read_practice", "list_workflows", "get_workflow"} <= {tool.name for tool in brief}
    assert [tool.name for tool in brief if not tool.reads or tool.task != "never" or tool.confirm] == []


_META: dict[str, object] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def _headers(method: str, name: str = "") -> dict[str, str]:
    return {
        "Authorization": "Bearer ann", "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, **({"Mcp-Name": name} if name else {}),
    }  # fmt: skip
