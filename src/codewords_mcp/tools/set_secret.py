"""`set_secret`: open a page on which a person types the value, which never passes through the chat."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import anyio
from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.mcp_server.cards import INBOX_CARD
from codewords_mcp.mcp_server.context import ToolContext, limits_of, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import Action, Elicitation, can_open_pages, earlier_response
from codewords_mcp.mcp_server.tool import WRITES, tool, tool_result

_CONSENT_TIMEOUT = 20.0
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
    if (response := earlier_response(ctx, _QUESTION)) is not None:
        state = response.state
        if response.action is None:  # a response to another request
            return _status_result(name, "waiting", state["url"])
        return await _after_answer(ctx, name, state["url"], state["before"], response.action)

    runtime, caller = runtime_and_caller(ctx)
    # A value that is there already must not count as the one that is typed now.
    before = await _stored_at(ctx, name)
    url = await runtime.secrets.create_link(caller, name, hosts=hosts)
    if not can_open_pages(ctx):
        await runtime.sessions.open_page(caller.owner, url)
        return _status_result(name, "waiting", url)

    async def decided(action: Action) -> CallToolResult:
        return await _after_answer(ctx, name, url, before, action)

    page = Elicitation(_QUESTION, _message(name), url, {"url": url, "before": before})
    outcome = await page.ask(ctx, _CONSENT_TIMEOUT, decided)
    return outcome or _status_result(name, "waiting", url)


async def _after_answer(ctx: ToolContext, name: str, url: str, before: str, action: Action) -> CallToolResult:
    if action != "accept":
        return _status_result(name, "declined")
    return await _wait_until_stored(ctx, name, url, before)


async def _wait_until_stored(ctx: ToolContext, name: str, url: str, before: str) -> CallToolResult:
    end = time.monotonic() + limits_of(ctx).typing_timeout
    while time.monotonic() < end:
        if await _stored_at(ctx, name) != before:
            return _status_result(name, "stored")
        # The page is another request, perhaps to another replica: only the store is common to both.
        await anyio.sleep(_POLL_INTERVAL)
    return _status_result(name, "waiting", url)


async def _stored_at(ctx: ToolContext, name: str) -> str:
    runtime, caller = runtime_and_caller(ctx)
    secret = await runtime.secrets.find(caller, name)
    if not secret:
        return ""
    return secret.updated_at.isoformat()


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


TOOL = tool(set_secret, title="Set secret", hints=WRITES, about_secrets=True, card=INBOX_CARD)
