"""What goes wrong leaves in the door's own words, and never with a value that was given."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from mcp import Client, MCPError
from tests.integration.mcp.fake_runtime import FakeRuntime
from tests.support.mcp_clients import text_of

pytestmark = pytest.mark.anyio

SECRET = "sk-live-4f9a8c7b6d5e"


@pytest.mark.requirement("mcp:error-words")
async def test_a_foreseen_error_is_a_code_a_sentence_and_a_hint(client: Client) -> None:
    result = await client.call_tool("run_workflow", {"workflow_id": "nobody_00000000"})
    assert result.is_error
    assert result.structured_content is None
    assert text_of(result) == "not_found: There is no workflow of that id.\nlist_workflows lists yours."


@pytest.mark.requirement("mcp:error-masked")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("validate_workflow", {"code": "x"}),
        ("deploy_workflow", {"code": "x"}),
        ("run_workflow", {"workflow_id": "x"}),
    ],
)
async def test_what_nobody_foresaw_is_masked_behind_an_id_that_the_log_has(
    client: Client, runtime: FakeRuntime, tool: str, arguments: dict[str, str]
) -> None:
    runtime.crash = RuntimeError(f"postgres://ann:{SECRET}@db")
    with structlog.testing.capture_logs() as logs:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert SECRET not in result.model_dump_json()
    [entry] = [entry for entry in logs if entry["event"] == "mcp_request_failed"]
    assert entry["request"] == tool
    assert f"error {entry['error_id']}" in text_of(result)


@pytest.mark.requirement("mcp:arguments-not-echoed")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_secret", {"name": "STRIPE_API_KEY", "value": SECRET}),
        ("set_secret", {"name": {"STRIPE_API_KEY": SECRET}}),
        ("set_secret", {SECRET: "STRIPE_API_KEY"}),
        ("get_run", {"run_id": "r", "wait_seconds": SECRET}),
        ("get_run", {"run_id": [SECRET]}),
        ("run_workflow", {"workflow_id": "w", "method": SECRET}),
    ],
)
async def test_bad_arguments_are_named_and_their_values_never_repeated(
    client: Client, tool: str, arguments: dict[str, Any]
) -> None:
    with structlog.testing.capture_logs() as logs:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert text_of(result).startswith("invalid_input: ")
    assert SECRET not in result.model_dump_json()
    assert SECRET not in str(logs)


@pytest.mark.requirement("mcp:tool-strict")
async def test_an_argument_that_a_tool_does_not_have_stops_it(client: Client, runtime: FakeRuntime) -> None:
    result = await client.call_tool("set_secret", {"name": "STRIPE_API_KEY", "value": SECRET})
    first, hint = text_of(result).splitlines()
    assert first == "invalid_input: Unknown argument `value`; nothing was done."
    assert hint.startswith("The tool takes name, hosts.")
    assert runtime.entries == {}


@pytest.mark.requirement("mcp:value-in-chat")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("set_secret", {"name": "STRIPE_API_KEY", "value": SECRET}),
        ("set_secret", {"name": "STRIPE_API_KEY", "secret": SECRET}),
        ("set_secret", {"name": {"STRIPE_API_KEY": SECRET}}),
        ("set_secret", {SECRET: "STRIPE_API_KEY"}),
        ("set_secret", {"name": SECRET}),
        ("set_secret", {"name": f"STRIPE_API_KEY={SECRET}"}),
        ("set_secret", {"name": "STRIPE_API_KEY", "hosts": [f"Bearer {SECRET}"]}),
        ("connect_integration", {"app": "slack", "token": SECRET}),
    ],
)
async def test_a_secrets_value_sent_in_the_chat_is_refused_and_said_to_be_in_it(
    client: Client, runtime: FakeRuntime, tool: str, arguments: dict[str, Any]
) -> None:
    result = await client.call_tool(tool, arguments)
    assert text_of(result).startswith("invalid_input: ")
    assert "now in this chat" in text_of(result)
    assert "replace it at its source" in text_of(result)
    assert SECRET not in result.model_dump_json()
    assert runtime.entries == {}


@pytest.mark.requirement("mcp:error-words")
async def test_a_tool_that_does_not_exist_is_said_so(client: Client) -> None:
    result = await client.call_tool("make_coffee", {})
    assert result.is_error
    assert "make_coffee" in text_of(result)


@pytest.mark.requirement("mcp:resource-not-found")
@pytest.mark.parametrize(
    "uri", ["run://nobody", "run://nobody/logs", "workflow://nobody", "tea://pot", "run://../x"]
)
async def test_a_resource_that_is_not_there_is_invalid_params_with_its_address(
    client: Client, uri: str
) -> None:
    with pytest.raises(MCPError) as raised:
        await client.read_resource(uri)
    assert raised.value.error.code == -32602
    assert raised.value.error.data["uri"] == uri


@pytest.mark.requirement("mcp:error-masked")
async def test_resources_prompts_and_lists_mask_what_nobody_foresaw(
    client: Client, runtime: FakeRuntime
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    runtime.runs.get = runtime.workflows.list = broken  # pyright: ignore[reportAttributeAccessIssue]
    asks = [
        lambda: client.read_resource("run://some"),
        lambda: client.get_prompt("debug_run", {"run_id": "some"}),
        client.list_resources,
    ]
    for ask in asks:
        with structlog.testing.capture_logs(), pytest.raises(MCPError) as raised:
            await ask()
        assert SECRET not in str(raised.value.error)
        assert "The runtime failed on this request (error " in raised.value.error.message


@pytest.mark.requirement("mcp:prompts")
@pytest.mark.parametrize(
    ("name", "arguments"), [("debug_run", {}), ("nothing", {}), ("debug_run", {"run_id": "nobody"})]
)
async def test_a_prompt_that_cannot_be_made_is_invalid_params(
    client: Client, name: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(MCPError) as raised:
        await client.get_prompt(name, arguments)
    assert raised.value.error.code == -32602
