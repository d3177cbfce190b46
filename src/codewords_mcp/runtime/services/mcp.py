"""`mcp`: tools of MCP servers that the caller connected. `{server, tool, arguments}` calls one."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.integrations.service import RUN_TIMEOUT_S
from codewords_mcp.runtime.model.integration import Prop
from codewords_mcp.runtime.model.integration_names import app_of
from codewords_mcp.runtime.model.mcp import PREFIX, action_of
from codewords_mcp.runtime.services.base import (
    Effect,
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
)

MAX_TIMEOUT_S = 600.0


class McpCall(Input):
    """A call of a tool. `arguments` are as the tool's schema asks for."""

    server: str = Field(min_length=1, max_length=60, description="Name of a connected server, like linear.")
    tool: str = Field(min_length=1, max_length=128, validation_alias=AliasChoices("tool", "name"))
    arguments: dict[str, Any] = Field(
        default_factory=dict, validation_alias=AliasChoices("arguments", "args", "inputs")
    )
    timeout: float = Field(default=RUN_TIMEOUT_S, gt=0, le=MAX_TIMEOUT_S, description="Seconds.")


class McpFile(Output):
    """A picture, sound or other data that the tool gave, stored as a file. `url` needs no key."""

    file_id: str
    name: str
    mime_type: str
    size: int
    url: str


class McpAnswer(Output):
    """The tool's answer. `text` is all of its text, `data` its structured content if it has any.

    A text of more than 200,000 characters is cut, and whole among the `files`. `links` are addresses that the
    server named; nothing is at them on its word.
    """

    success: bool
    server: str
    tool: str
    text: str = ""
    data: Any = None
    files: list[McpFile] = Field(default_factory=list[McpFile])
    links: list[dict[str, str]] = Field(default_factory=list[dict[str, str]])


class McpToolsInput(Input):
    """The server, and words that narrow its list."""

    server: str = Field(min_length=1, max_length=60)
    query: str = Field(default="", max_length=300)
    limit: int = Field(default=100, ge=1, le=1000)


class McpToolInfo(Output):
    """A tool as its server describes it. `reads`: a person believes that it only reads."""

    name: str
    title: str
    reads: bool
    description: str
    fields: list[Prop]


class McpTools(Output):
    """The server's tools, the best match first."""

    success: bool
    server: str
    tools: list[McpToolInfo]
    total: int


async def call(context: ServiceContext, params: McpCall) -> McpAnswer:
    """Call a tool, once.

    Raises InvalidInput, NotFound, NotConnected, NotAgreed, IntegrationFailed, UpstreamFailed, UpstreamTimedOut.
    """
    app = _app(params.server)
    # Before anything is looked up, so that a refused call learns nothing of the server.
    context.authority.require_tool(app, params.tool)
    integrations, owner = context.dependencies.integrations, context.caller.owner
    outcome = await integrations.call_tool(
        owner, app, params.tool, params.arguments, params.timeout, maker=context.workflow
    )
    data = outcome.ret
    if isinstance(data, str):
        text = data
    else:
        text = str(outcome.exports.get("text") or "")
    return McpAnswer(
        success=True,
        server=app.removeprefix(PREFIX),
        tool=params.tool,
        text=text,
        data=None if isinstance(data, str) else data,
        files=[McpFile.model_validate(file) for file in outcome.files],
        links=outcome.exports.get("links") or [],
    )


async def effect(context: ServiceContext, params: McpCall) -> Effect:
    """The effect of a call: it reads where the server says so and a person believes it."""
    app = _app(params.server)
    context.authority.require_tool(app, params.tool)
    servers = context.dependencies.integrations.servers
    tool = await servers.tool(context.caller.owner, app, params.tool)
    return "reads" if tool.only_reads else "writes"


async def list_tools(context: ServiceContext, params: McpToolsInput) -> McpTools:
    """List a server's tools. Raises NotFound, NotConnected."""
    app = _app(params.server)
    integrations, owner = context.dependencies.integrations, context.caller.owner
    listed = await integrations.directory.actions(owner, app, params.query, params.limit)
    positions = {hit.key: number for number, hit in enumerate(listed.actions)}
    review = await integrations.servers.review(owner, app.removeprefix(PREFIX), read=False)
    actions = {
        action.key: (action, tool) for tool in review.tools if (action := action_of(tool)).key in positions
    }
    tools = [
        McpToolInfo(
            name=tool.now.name,
            title=tool.now.title,
            reads=tool.only_reads,
            description=tool.now.description,
            fields=action.fields,
        )
        for key in positions
        if key in actions
        for action, tool in [actions[key]]
        if tool.now is not None
    ]
    return McpTools(success=True, server=app.removeprefix(PREFIX), tools=tools, total=listed.total)


def _app(server: str) -> str:
    app = app_of(server)
    if app == "mcp":
        raise InvalidInput("`server` is the name of a connected server.", hint="As in linear.")
    if app.startswith(PREFIX):
        return app
    return PREFIX + app


SERVICE = Service(
    name="mcp",
    title="MCP servers",
    acts_with="the MCP servers that you connected",
    summary="Call a tool of an MCP server that you connected.",
    operations=(
        Operation(
            "Call a tool",
            McpCall,
            McpAnswer,
            call,
            effect="writes",
            effect_in=effect,
            path="call",
            aliases=("",),
            example={"server": "linear", "tool": "create_issue", "arguments": {"title": "It is broken"}},
        ),
        Operation(
            "List the tools of a server",
            McpToolsInput,
            McpTools,
            list_tools,
            effect="reads",
            path="tools",
            example={"server": "linear"},
        ),
    ),
)
