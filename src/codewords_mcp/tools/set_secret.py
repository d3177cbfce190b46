"""`set_secret`: open a page on which a person types the value, which never passes through the chat."""

from __future__ import annotations

import json
import secrets
import time
from typing import Annotated, Literal

import anyio
from mcp_types import CallToolResult, ElicitRequest, ElicitRequestURLParams, ElicitResult, InputRequiredResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import elicit_url
from codewords_mcp.mcp_server.tool import WRITES, can_open_pages, tool, tool_result

_CONSENT_TIMEOUT = 20.0
_TYPING_TIMEOUT = 20.0
_POLL_INTERVAL = 0.5
_QUESTION = "secret"


class SecretEntry(BaseModel):
    """The state of the entry, never the value."""

    name: str
    status: Literal["waiting", "stored", "declined"]
    url: str | None = None
    command: str | None = None


async def set_secret(
    ctx: ToolContext,
    name: Annotated[str, Field(description="Like STRIPE_API_KEY")],
    hosts: tuple[str, ...] = (),
) -> Annotated[CallToolResult, SecretEntry] | InputRequiredResult:
    """Let the user store a secret on a one-time page; `hosts`: who may get it. Never ask for values in chat."""
    if ctx.input_responses is not None and ctx.request_state is not None:
        return await _after_question(ctx, name, json.loads(ctx.request_state))

    runtime, caller = runtime_and_caller(ctx)
    before = await _stored_at(ctx, name)
    url = await runtime.secrets.create_link(caller, name, hosts=hosts)
    if not can_open_pages(ctx):
        await runtime.sessions.open_page(caller.owner, url)
        return _status_result(name, "waiting", url)

    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        # The server may not ask here: the client asks, and calls again with the answer and this (sealed) state.
        page = ElicitRequest(params=ElicitRequestURLParams(message=_message(name), url=url))
        state = json.dumps({"url": url, "before": before})
        return InputRequiredResult(input_requests={_QUESTION: page}, request_state=state)

    return await _ask_now(ctx, name, url, before)


async def _after_question(ctx: ToolContext, name: str, state: dict[str, str]) -> CallToolResult:
    response = (ctx.input_responses or {}).get(_QUESTION)
    if not isinstance(response, ElicitResult):  # a response to another request
        return _status_result(name, "waiting", state["url"])
    if response.action != "accept":
        return _status_result(name, "declined")
    return await _wait_until_stored(ctx, name, state["url"], state["before"])


async def _ask_now(ctx: ToolContext, name: str, url: str, before: str) -> CallToolResult:
    """Ask within this call (clients up to 2025-11-25). Without a decision, the result has the URL."""
    question = secrets.token_urlsafe(16)
    action = None
    with anyio.move_on_after(_CONSENT_TIMEOUT):
        action = await elicit_url(ctx, _message(name), url, question)
    if action is None:
        return _status_result(name, "waiting", url)
    if action != "accept":
        return _status_result(name, "declined")

    result = await _wait_until_stored(ctx, name, url, before)
    await ctx.session.send_elicit_complete(question, ctx.request_id)
    return result


async def _wait_until_stored(ctx: ToolContext, name: str, url: str, before: str) -> CallToolResult:
    end = time.monotonic() + _TYPING_TIMEOUT
    while time.monotonic() < end:
        if await _stored_at(ctx, name) != before:
            return _status_result(name, "stored")
        # The page is another request, perhaps to another replica: only the store is common to both.
        await anyio.sleep(_POLL_INTERVAL)
    return _status_result(name, "waiting", url)


async def _stored_at(ctx: ToolContext, name: str) -> str:
    runtime, caller = runtime_and_caller(ctx)
    return next((s.updated_at.isoformat() for s in await runtime.secrets.list(caller) if s.name == name), "")


def _message(name: str) -> str:
    return f"Enter the value of {name} on this page of your own CodeWords runtime. The assistant does not see it."


def _status_result(
    name: str, status: Literal["waiting", "stored", "declined"], url: str | None = None
) -> CallToolResult:
    command = f"codewords secrets set {name}"
    data = SecretEntry(name=name, status=status, url=url, command=command if url else None)
    text = {
        "waiting": f"Ask the user to open {url} (works once, for 10 minutes) and type the value there, "
        f"or to run `{command}` in a terminal. list_secrets tells when it is stored.",
        "stored": f"{name} is stored.",
        "declined": f"The user declined; {name} is unchanged.",
    }
    return tool_result(data, text[status])


TOOL = tool(set_secret, title="Set secret", hints=WRITES, about_secrets=True)
