"""What the server says of itself, and the small duties of the protocol, in both eras."""

from __future__ import annotations

import asyncio
import json
import logging
from urllib.parse import urlsplit

import mcp_types as types
import pytest
from mcp import Client
from tests.integration.mcp.fake_runtime import ANN, FakeRuntime
from tests.support.mcp_clients import Era, data_of, in_process, over_http

from codewords_mcp import __version__
from codewords_mcp.cli.mcp_app import create_server
from codewords_mcp.mcp_server.server import INSTRUCTIONS
from codewords_mcp.runtime.model.run import RunError
from codewords_mcp.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("mcp:eras")
async def test_both_eras_are_served_at_one_address(url: str) -> None:
    async with over_http(url, "ann", "legacy") as old, over_http(url, "ann", "2026-07-28") as new:
        assert (old.protocol_version, new.protocol_version) == ("2025-11-25", "2026-07-28")
        assert [t.name for t in (await old.list_tools()).tools] == [
            t.name for t in (await new.list_tools()).tools
        ]


@pytest.mark.requirement("mcp:eras")
async def test_a_server_in_this_process_serves_its_own_caller(
    runtime: FakeRuntime, settings: Settings, era: Era
) -> None:
    async with in_process(runtime, settings, ANN, era) as client:
        await client.call_tool("deploy_workflow", {"code": "x", "name": "mine"})
        listed = data_of(await client.call_tool("list_workflows", {}))
    assert [workflow["name"] for workflow in listed["workflows"]] == ["mine"]


@pytest.mark.requirement("mcp:announcement")
@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_announces_what_it_serves(runtime: FakeRuntime, url: str, mode: Era) -> None:
    async with over_http(url, "ann", mode) as client:
        can = client.server_capabilities
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == ("codewords", __version__)
        assert client.instructions == INSTRUCTIONS
        assert client.server_info.icons
    assert can.tools is not None
    assert can.tools.list_changed
    assert can.prompts is not None
    assert can.prompts.list_changed
    assert can.resources is not None
    assert can.resources.list_changed
    assert can.resources.subscribe
    assert can.completions is not None


@pytest.mark.requirement("mcp:header-blanks")
async def test_blanks_around_a_protocol_header_do_not_count(url: str) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    }
    params = {"name": "list_workflows", "arguments": {}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    address = urlsplit(url)
    head = [
        f"POST {address.path} HTTP/1.1",
        f"Host: {address.netloc}",
        "Authorization: Bearer ann",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/call",
        "Mcp-Name: \t list_workflows \t ",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write("\r\n".join([*head, "", body]).encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"No workflows." in answer


@pytest.mark.requirement("mcp:set-level")
async def test_a_log_level_may_be_set_by_clients_that_know_it(url: str) -> None:
    async with over_http(url, "ann", "legacy") as client:
        request = types.SetLevelRequest(params=types.SetLevelRequestParams(level="warning"))
        assert await client.session.send_request(request, types.EmptyResult) == types.EmptyResult()


@pytest.mark.requirement("mcp:cache-hints")
async def test_lists_differ_by_caller_so_that_only_their_caller_may_cache_them(url: str) -> None:
    async with over_http(url, "ann", "2026-07-28") as client:
        tools, resources = await client.list_tools(), await client.list_resources()
        prompts = await client.list_prompts()
    assert (prompts.cache_scope, prompts.ttl_ms) == ("private", 60_000)
    assert (tools.cache_scope, tools.ttl_ms) == ("private", 60_000)
    assert (resources.cache_scope, resources.ttl_ms) == ("private", 0)


@pytest.mark.requirement("mcp:prompts")
async def test_the_build_prompt_names_the_tools_in_order_and_keeps_the_words_given(client: Client) -> None:
    prompt = await client.get_prompt("build_workflow", {"description": "Greet {name} 100%"})
    [message] = prompt.messages
    assert isinstance(message.content, types.TextContent)
    text = message.content.text
    steps = text[text.index("Steps:") :]
    assert "Greet {name} 100%" in text
    loop = ["generate_workflow", "edit_workflow", "set_secret", "deploy_workflow", "run_workflow", "get_run"]
    assert sorted(loop, key=steps.index) == loop


@pytest.mark.requirement("mcp:prompts")
async def test_the_debug_prompt_brings_the_record_and_the_log_of_the_run(
    client: Client, runtime: FakeRuntime
) -> None:
    runtime.failure = RunError(code="program_exited", message="The workflow ended.", origin="service")
    runtime.log_text = "KeyError: 'x'"
    live = data_of(await client.call_tool("deploy_workflow", {"code": "x"}))
    run = data_of(await client.call_tool("run_workflow", {"workflow_id": live["workflow_id"]}))
    prompt = await client.get_prompt("debug_run", {"run_id": run["run_id"]})
    [message] = prompt.messages
    assert isinstance(message.content, types.TextContent)
    assert "KeyError: 'x'" in message.content.text
    assert "program_exited" in message.content.text
    assert "program_exited (service): The workflow ended." in message.content.text


@pytest.mark.requirement("mcp:many-at-once")
async def test_calls_of_one_client_are_served_at_once(runtime: FakeRuntime, url: str, era: Era) -> None:
    async with over_http(url, "ann", era) as client:
        results = await asyncio.gather(*(client.call_tool("list_workflows", {}) for _ in range(50)))
    assert [data_of(result) for result in results] == [{"workflows": []}] * 50


@pytest.mark.requirement("mcp:logging-untouched")
async def test_making_a_server_leaves_the_process_logging_alone(
    runtime: FakeRuntime, settings: Settings
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    create_server(runtime, settings)
    assert (root.handlers[:], root.level) == before
