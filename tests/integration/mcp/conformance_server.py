"""What the MCP conformance suite asks a server to have, put on our real server: tools, prompts and resources by its names.

The suite's descriptions say what each of them answers (`conformance list`); the wire under test is ours.
"""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any, Literal

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    INTERNAL_ERROR,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    PaginatedRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel
from tests.integration.mcp.conformance_questions import (
    Ctx,
    asking_legacy,
    asking_modern,
    form,
    replied,
    text_content,
)

from codewords_mcp.errors import NotFound
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.tasks import TaskSupport
from codewords_mcp.mcp_server.tool import EXECUTES, McpTool, tool
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.tools import all_tools

A_MOMENT = 0.5
"""Seconds that a tool takes which is to be seen as a task: far more than a call is answered without one in these tests."""
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
SILENCE = base64.b64encode(
    b"RIFF\x26\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x02\x00\x00\x00\x80\x80"
).decode()


def add_everything(server: MCPServer[Any]) -> None:
    """Put all of it on a server."""
    for add in (_contents, _notices, asking_legacy, asking_modern, _prompts, _resources, _plain_tools):
        add(server)


def _plain_tools(server: MCPServer[Any]) -> None:
    """Our server lists and calls its own tools only: these are listed behind them, and called as the SDK does."""
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    listed: Any = low.get_request_handler("tools/list")
    called: Any = low.get_request_handler("tools/call")
    own = {tool.name for tool in [*all_tools(), *long_tools()]}

    async def listing(ctx: Any, params: Any) -> Any:
        ours = await listed.handler(ctx, params)
        plain = [tool for tool in await server.list_tools() if tool.name not in own]
        return ours.model_copy(update={"tools": [*ours.tools, *plain]})

    async def calling(ctx: Any, params: Any) -> Any:
        known = server._tool_manager.get_tool(params.name)  # pyright: ignore[reportPrivateUsage]
        if known is None or params.name in own:
            return await called.handler(ctx, params)
        return await server._handle_call_tool(ctx, params)  # pyright: ignore[reportPrivateUsage]

    low.add_request_handler("tools/list", PaginatedRequestParams, listing)
    low.add_request_handler("tools/call", CallToolRequestParams, calling)


def long_tools() -> list[McpTool]:
    """The tools that the scenarios of tasks call, made as our own are."""
    return [
        tool(
            fn,
            title=fn.__name__,
            hints=EXECUTES,
            rule=Rule("tool", fn.__name__, "user", ("write",), "writes", "other"),
            task=task,
            retryable=True,
        )
        for fn, task in _LONG.items()
    ]


def _said(text: str) -> CallToolResult:
    return CallToolResult(content=[text_content(text)])


async def greet(ctx: ToolContext, name: str) -> CallToolResult:
    """No task."""
    return _said(f"Hello, {name}!")


async def slow_compute(ctx: ToolContext, seconds: float = 0, label: str = "") -> CallToolResult:
    """For a moment by each second that was asked: the suite asks for 1 to see an end, and for 60 to see none."""
    await anyio.sleep(seconds * A_MOMENT)
    return _said(f"{label} took {seconds} s")


async def failing_job(ctx: ToolContext) -> CallToolResult:
    """Fails after a moment."""
    await anyio.sleep(A_MOMENT)
    raise NotFound("This fails, as it should.")


async def protocol_error_job(ctx: ToolContext) -> CallToolResult:
    """An error of the protocol after a moment."""
    await anyio.sleep(A_MOMENT)
    raise MCPError(INTERNAL_ERROR, "The protocol is broken, as it should be.")


async def confirm_delete(ctx: ToolContext, filename: str) -> CallToolResult | InputRequiredResult:
    """Asks once, as a task."""
    if not isinstance(replied(ctx, "sure"), ElicitResult):
        await anyio.sleep(A_MOMENT)
        return InputRequiredResult(input_requests={"sure": form(f"Delete {filename}?", "confirm", "boolean")})
    return _said(f"{filename} is gone")


async def multi_input(ctx: ToolContext) -> CallToolResult | InputRequiredResult:
    """Asks twice at once, as a task."""
    if not isinstance(replied(ctx, "one"), ElicitResult):
        await anyio.sleep(A_MOMENT)
        asks: dict[str, Any] = {"one": form("One?", "name"), "two": form("Two?", "name")}
        return InputRequiredResult(input_requests=asks)
    return _said("both have come")


async def test_tool_with_task(ctx: ToolContext) -> CallToolResult | InputRequiredResult:
    """Asks before it is a task."""
    reply = replied(ctx, "user_name")
    if not isinstance(reply, ElicitResult):
        return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})
    await anyio.sleep(A_MOMENT)
    return _said(f"Hello, {(reply.content or {}).get('name')}!")


_LONG: dict[Any, TaskSupport] = {
    greet: "never",
    slow_compute: "optional",
    failing_job: "required",
    protocol_error_job: "optional",
    confirm_delete: "optional",
    multi_input: "optional",
    test_tool_with_task: "required",
}


def _image() -> ImageContent:
    return ImageContent(type="image", data=PIXEL, mime_type="image/png")


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    )


class Address(BaseModel):
    """A part of a schema."""

    street: str
    city: str = ""


def _contents(server: MCPServer[Any]) -> None:
    @server.tool()
    def test_simple_text() -> str:
        """Text."""
        return "This is a simple text response for testing."

    @server.tool()
    def test_image_content() -> ImageContent:
        """An image."""
        return _image()

    @server.tool()
    def test_audio_content() -> AudioContent:
        """Sound."""
        return AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")

    @server.tool()
    def test_embedded_resource() -> EmbeddedResource:
        """A resource within the answer."""
        return _embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")

    @server.tool()
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        """Text, an image and a resource."""
        mixed = _embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
        return [text_content("Multiple content types test:"), _image(), mixed]

    @server.tool()
    def test_error_handling() -> str:
        """Fails."""
        raise ValueError("This tool intentionally returns an error for testing")

    @server.tool()
    def json_schema_2020_12_tool(name: str, address: Address) -> str:
        """A schema with definitions."""
        return f"{name} of {address.street}"


def _notices(server: MCPServer[Any]) -> None:
    @server.tool()
    async def test_tool_with_logging(ctx: Ctx) -> str:
        """Three lines of log."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
                await ctx.info(line)  # pyright: ignore[reportDeprecated]
                await anyio.sleep(0.05)
        return "done"

    @server.tool()
    async def test_tool_with_progress(ctx: Ctx) -> str:
        """Progress in three steps."""
        for progress in (0, 50, 100):
            await ctx.report_progress(progress, 100)
            await anyio.sleep(0.05)
        return "done"

    @server.tool()
    async def test_trigger_tool_change(ctx: Ctx) -> str:
        """Announce other tools."""
        await ctx.notify_tools_changed()
        return "announced"

    @server.tool()
    async def test_trigger_prompt_change(ctx: Ctx) -> str:
        """Announce other prompts."""
        await ctx.notify_prompts_changed()
        return "announced"


def _prompts(server: MCPServer[Any]) -> None:
    def message(*contents: Any) -> list[dict[str, Any]]:
        return [{"role": "user", "content": content} for content in contents]

    @server.prompt()
    def test_simple_prompt() -> str:
        """Text."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Two arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[dict[str, Any]]:  # noqa: N803
        """A resource in it."""
        resource = _embedded(resourceUri, "text/plain", "Embedded resource content for testing.")
        return message(resource, text_content("Please process the embedded resource above."))

    @server.prompt()
    def test_prompt_with_image() -> list[dict[str, Any]]:
        """An image in it."""
        return message(_image(), text_content("Please analyze the image above."))

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Ctx) -> str | InputRequiredResult:
        """Asks before it answers."""
        reply = replied(ctx, "context")
        if not isinstance(reply, ElicitResult):
            return InputRequiredResult(input_requests={"context": form("Which context?", "context")})
        return f"In the context of {(reply.content or {}).get('context')}."


def _resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """Text."""
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """An image."""
        return base64.b64decode(PIXEL)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template_data(id: str) -> str:  # noqa: A002
        """By id."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """One to be watched."""
        return "watched"

    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    def also_watched(
        method: Literal["resources/subscribe", "resources/unsubscribe"], params: type[Any]
    ) -> None:
        ours: Any = low.get_request_handler(method)

        async def handle(ctx: Any, asked: Any) -> EmptyResult:
            if str(asked.uri) == "test://watched-resource":
                return EmptyResult()
            return await ours.handler(ctx, asked)

        low.add_request_handler(method, params, handle)

    also_watched("resources/subscribe", SubscribeRequestParams)
    also_watched("resources/unsubscribe", UnsubscribeRequestParams)
