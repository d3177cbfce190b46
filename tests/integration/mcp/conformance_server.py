"""What the MCP conformance suite asks a server to have, put on our real server: tools, prompts and resources by its names.

The suite's descriptions say what each of them answers (`conformance list`); the wire under test is ours.
"""

from __future__ import annotations

import base64
import json
import warnings
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    PaginatedRequestParams,
    SamplingMessage,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

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

Ctx = Context[Any, Any]


def add_everything(server: MCPServer[Any]) -> None:
    """Put all of it on a server."""
    for add in (_contents, _notices, _asking_legacy, _asking_modern, _prompts, _resources, _plain_tools):
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
    return CallToolResult(content=[_text(text)])


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
    if not isinstance(_replied(ctx, "sure"), ElicitResult):
        await anyio.sleep(A_MOMENT)
        return InputRequiredResult(
            input_requests={"sure": _form(f"Delete {filename}?", "confirm", "boolean")}
        )
    return _said(f"{filename} is gone")


async def multi_input(ctx: ToolContext) -> CallToolResult | InputRequiredResult:
    """Asks twice at once, as a task."""
    if not isinstance(_replied(ctx, "one"), ElicitResult):
        await anyio.sleep(A_MOMENT)
        asks: dict[str, Any] = {"one": _form("One?", "name"), "two": _form("Two?", "name")}
        return InputRequiredResult(input_requests=asks)
    return _said("both have come")


async def test_tool_with_task(ctx: ToolContext) -> CallToolResult | InputRequiredResult:
    """Asks before it is a task."""
    reply = _replied(ctx, "user_name")
    if not isinstance(reply, ElicitResult):
        return InputRequiredResult(input_requests={"user_name": _form("What is your name?", "name")})
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


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


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
        return [_text("Multiple content types test:"), _image(), mixed]

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


class _Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Annotated[str, Field(json_schema_extra={"enum": ["active", "inactive", "pending"]})] = "active"
    verified: bool = True


_ENUMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {
            "type": "string",
            "oneOf": [{"const": f"value{n}", "title": f"{word} Option"} for n, word in enumerate(("First", "Second", "Third"), 1)],
        },
        "legacyEnum": {
            "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {
            "type": "array",
            "items": {"anyOf": [{"const": f"value{n}", "title": f"{word} Choice"} for n, word in enumerate(("First", "Second", "Third"), 1)]},
        },
    },
}  # fmt: skip


class _Answer(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


def _asking_legacy(server: MCPServer[Any]) -> None:
    """Questions within a call, as up to 2025-11-25."""

    @server.tool()
    async def test_sampling(prompt: str, ctx: Ctx) -> str:
        """Ask the client's model."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            message = SamplingMessage(role="user", content=_text(prompt))
            reply: Any = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
                [message], max_tokens=100, related_request_id=ctx.request_id
            )
        return f"LLM response: {reply.content.text}"

    @server.tool()
    async def test_elicitation(message: str, ctx: Ctx) -> str:
        """Ask the person."""
        reply: Any = await ctx.elicit(message, _Answer)
        content = reply.data.model_dump() if reply.action == "accept" else None
        return f"User response: action={reply.action}, content={json.dumps(content)}"

    @server.tool()
    async def test_elicitation_sep1034_defaults(ctx: Ctx) -> str:
        """Ask with defaults."""
        reply: Any = await ctx.elicit("Please review and update the form fields", _Defaults)
        content = reply.data.model_dump() if reply.action == "accept" else None
        return f"Elicitation completed: action={reply.action}, content={json.dumps(content)}"

    @server.tool()
    async def test_elicitation_sep1330_enums(ctx: Ctx) -> str:
        """Ask with choices."""
        reply = await ctx.session.elicit_form("Please choose", _ENUMS, ctx.request_id)
        return f"Elicitation completed: action={reply.action}, content={json.dumps(reply.content)}"


def _form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sample(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=_text(text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def _replied(ctx: Ctx, key: str) -> Any:
    return (ctx.input_responses or {}).get(key)


def _asking_modern(server: MCPServer[Any]) -> None:
    """Questions as results, from 2026-07-28 on: the client asks and calls again."""

    @server.tool()
    async def test_missing_capability(ctx: Ctx) -> str:
        """Needs a client with sampling."""
        can = ctx.client_capabilities
        if can is None or can.sampling is None:
            needs: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "The client must declare sampling.", needs)
        return "sampling is declared"

    @server.tool()
    async def test_input_required_result_elicitation(ctx: Ctx) -> str | InputRequiredResult:
        """Ask the person."""
        reply = _replied(ctx, "user_name")
        if not isinstance(reply, ElicitResult):
            return InputRequiredResult(input_requests={"user_name": _form("What is your name?", "name")})
        return f"Hello, {(reply.content or {}).get('name')}!"

    @server.tool()
    async def test_input_required_result_sampling(ctx: Ctx) -> str | InputRequiredResult:
        """Ask the client's model."""
        if _replied(ctx, "capital") is None:
            return InputRequiredResult(input_requests={"capital": _sample("What is the capital of France?")})
        return "The model has answered."

    @server.tool()
    async def test_input_required_result_list_roots(ctx: Ctx) -> str | InputRequiredResult:
        """Ask for roots."""
        if _replied(ctx, "roots") is None:
            return InputRequiredResult(input_requests={"roots": ListRootsRequest()})
        return "The roots have come."

    async def with_state(ctx: Ctx) -> str | InputRequiredResult:
        if ctx.request_state is None or _replied(ctx, "confirm") is None:
            ask = _form("Please confirm", "ok", "boolean")
            return InputRequiredResult(input_requests={"confirm": ask}, request_state="begun")
        return f"state-ok: {ctx.request_state}"

    @server.tool()
    async def test_input_required_result_request_state(ctx: Ctx) -> str | InputRequiredResult:
        """Ask, with state."""
        return await with_state(ctx)

    @server.tool()
    async def test_input_required_result_tampered_state(ctx: Ctx) -> str | InputRequiredResult:
        """Ask, with state that somebody changes."""
        return await with_state(ctx)

    @server.tool()
    async def test_input_required_result_multiple_inputs(ctx: Ctx) -> str | InputRequiredResult:
        """Three questions at once."""
        asks = {
            "user_name": _form("What is your name?", "name"),
            "greeting": _sample("Greet me"),
            "roots": ListRootsRequest(),
        }
        if any(_replied(ctx, key) is None for key in asks):
            return InputRequiredResult(input_requests=asks, request_state="three")
        return "All have come."

    @server.tool()
    async def test_input_required_result_multi_round(ctx: Ctx) -> str | InputRequiredResult:
        """Two questions, one after the other."""
        if ctx.request_state == "two" and isinstance(_replied(ctx, "step2"), ElicitResult):
            return "Both have come."
        if ctx.request_state == "one" and isinstance(_replied(ctx, "step1"), ElicitResult):
            ask = _form("Step 2: What is your favorite color?", "color")
            return InputRequiredResult(input_requests={"step2": ask}, request_state="two")
        return InputRequiredResult(
            input_requests={"step1": _form("Step 1: What is your name?", "name")}, request_state="one"
        )

    @server.tool()
    async def test_input_required_result_capabilities(ctx: Ctx) -> str | InputRequiredResult:
        """Only what the client can answer."""
        can = ctx.client_capabilities
        asks: dict[str, Any] = {}
        if can is not None and can.sampling is not None:
            asks["sampled"] = _sample("Anything")
        if can is not None and can.elicitation is not None:
            asks["asked"] = _form("Anything?", "name")
        if asks and any(_replied(ctx, key) is None for key in asks):
            return InputRequiredResult(input_requests=asks)
        return "done"


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
        return message(resource, _text("Please process the embedded resource above."))

    @server.prompt()
    def test_prompt_with_image() -> list[dict[str, Any]]:
        """An image in it."""
        return message(_image(), _text("Please analyze the image above."))

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Ctx) -> str | InputRequiredResult:
        """Asks before it answers."""
        reply = _replied(ctx, "context")
        if not isinstance(reply, ElicitResult):
            return InputRequiredResult(input_requests={"context": _form("Which context?", "context")})
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
