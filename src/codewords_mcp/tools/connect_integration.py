"""`connect_integration`: the state of an app's connection, and the page on which a person connects it."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.cards import INBOX_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import Action, Elicitation, can_open_pages, earlier_response
from codewords_mcp.mcp_server.remedies import worded
from codewords_mcp.mcp_server.text import one_line
from codewords_mcp.mcp_server.tool import EXECUTES, tool, tool_result
from codewords_mcp.runtime.model.integration import Connection
from codewords_mcp.tools._integrations import workflow_line

AppOrServer = Annotated[
    str, Field(description="Like google_sheets, or an MCP server's URL or package: pypi:NAME")
]
_CONSENT_TIMEOUT = 20.0
_CONNECT_TIMEOUT = 20.0
_QUESTION = "connect"


class ConnectionState(BaseModel):
    """The connection's state; `url` is the page on which a person connects the app."""

    app: str
    status: str
    connected: bool
    env_var: str
    accounts: list[str] = []
    url: str | None = None


async def connect_integration(
    ctx: ToolContext, app: AppOrServer, wait: bool = False
) -> Annotated[CallToolResult, ConnectionState] | InputRequiredResult:
    """Check whether an app is connected; if not, the user connects it on a page. `wait`: until they have, up to 20 s."""
    runtime, caller = runtime_and_caller(ctx)
    response = earlier_response(ctx, _QUESTION)
    if response is not None and response.action is not None:  # else a response to another request: ask again
        return await _after_answer(ctx, response.state["app"], response.action)

    found = await runtime.connections.connect(caller, app, wait=_CONNECT_TIMEOUT if wait else 0.0)
    app = found.app
    url = found.connect_link_url
    if found.connected or url is None or wait or not can_open_pages(ctx):
        if url is not None and not wait:
            await runtime.sessions.open_page(caller.owner, url)
        return _state_result(found)

    async def decided(action: Action) -> CallToolResult:
        return await _after_answer(ctx, found.app, action)

    page = Elicitation(_QUESTION, _message(found.app), url, {"app": found.app})
    outcome = await page.ask(ctx, _CONSENT_TIMEOUT, decided)
    return outcome or _state_result(found)


async def _after_answer(ctx: ToolContext, app: str, action: Action) -> CallToolResult:
    if action != "accept":
        return _declined(app)
    return await _once_connected(ctx, app)


async def _once_connected(ctx: ToolContext, app: str) -> CallToolResult:
    runtime, caller = runtime_and_caller(ctx)
    return _state_result(await runtime.connections.connect(caller, app, wait=_CONNECT_TIMEOUT))


def _message(app: str) -> str:
    return f"Connect your {app} account on this page of your own CodeWords runtime. The assistant does not see it."


def _declined(app: str) -> CallToolResult:
    data = ConnectionState(app=app, status="declined", connected=False, env_var="")
    return tool_result(data, "The user declined; nothing was connected.")


def _state_result(found: Connection) -> CallToolResult:
    names = [one_line(f"{account.name} ({account.id})", 80) for account in found.accounts[:10]]
    url = found.connect_link_url
    data = ConnectionState(
        app=found.app,
        status=found.status,
        connected=found.connected,
        env_var=found.env_var,
        accounts=names,
        url=url,
    )
    lines = [found.message]

    if found.connected:
        lines += [f"Account: {name}" for name in names]
        lines.append(workflow_line(found.app, found.env_var))
    elif url:
        lines.append(f"Ask the user to open {url} and connect it there, then call this again with wait=true.")

    if found.how and not found.connected and not (url and url in found.how):
        lines.append(worded(found.how, found.remedy))
    return tool_result(data, "\n".join(lines))


TOOL = tool(
    connect_integration, title="Connect integration", hints=EXECUTES, about_secrets=True, card=INBOX_CARD
)
