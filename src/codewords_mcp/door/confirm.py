"""A person's yes to what destroys or spends: by a form where the client shows one, else by a second call.

A tool declares the question (`confirm=` of `tool`). Where the client can ask its person, only that person's answer
counts. Where it cannot, the first call gives a token that is good once, for ten minutes, for exactly these arguments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    TextContent,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel

from codewords_mcp.door.context import DoorContext, asking, principal_of
from codewords_mcp.errors import CodewordsError, Forbidden

CONFIRM = "confirm"
"""The argument that a tool with a question has beside its own."""
SCHEMA = {"type": "string", "description": "Token of the reply that asked"}
ANSWERED_WITHIN = 30.0
"""Seconds that a call of before 2026-07-28 waits for a person."""
Question = Callable[[DoorContext, dict[str, Any]], Awaitable[str | None]]
"""`await question(ctx, arguments)`: what to ask the person, in one or two sentences; None where nothing needs asking."""


class Yes(BaseModel):
    """A form without fields: accepting it is the answer."""


class NotConfirmed(CodewordsError):
    """The person did not say yes; nothing was done."""

    code = "not_confirmed"
    status = 409


def form_of(ctx: DoorContext) -> bool:
    """Whether the client can put a form to its person. Before 2025-11-25 the capability had no members and meant forms."""
    can = ctx.client_capabilities
    elicitation = can.elicitation if can else None
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


async def settle(
    ctx: DoorContext, tool: str, arguments: dict[str, Any], token: str | None, question: Question
) -> CallToolResult | InputRequiredResult | None:
    """None where the tool may go on; else what to answer instead. Raises NotConfirmed, Forbidden."""
    if (
        ctx.request_state == CONFIRM
    ):  # it came sealed, so this question was put to this caller about these arguments
        _check((ctx.input_responses or {}).get(CONFIRM))
        return None
    text = await question(ctx, arguments)
    if text is None:
        return None
    runtime, caller = asking(ctx)
    if form_of(ctx) and not runtime.unattended:
        return await _ask(ctx, text)
    digest = hashlib.sha256(
        json.dumps([principal_of(caller), tool, arguments], sort_keys=True).encode()
    ).hexdigest()
    if token is not None:
        if await runtime.redeem_confirmation(caller, token, digest):
            return None
        raise Forbidden(
            "This token confirms nothing: it was used, is over ten minutes old, or is for other arguments.",
            hint=f"Call {tool} without `confirm` to ask again.",
        )
    made = await runtime.ask_confirmation(caller, digest)
    return _second_call(tool, text, made)


async def _ask(ctx: DoorContext, text: str) -> InputRequiredResult | None:
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        form = ElicitRequestFormParams(message=text, requested_schema=Yes.model_json_schema())
        return InputRequiredResult(
            input_requests={CONFIRM: ElicitRequest(params=form)}, request_state=CONFIRM
        )
    reply = None
    with anyio.move_on_after(ANSWERED_WITHIN):
        reply = await ctx.elicit(text, Yes)
    if reply is None:
        raise NotConfirmed(
            f"Nobody answered within {ANSWERED_WITHIN:.0f} s; nothing was done.",
            hint="Call again to ask again.",
        )
    _check(reply)
    return None


def _check(reply: Any) -> None:
    if getattr(reply, "action", None) != "accept":
        raise NotConfirmed(
            "The user declined; nothing was done.", hint="Ask the user what they want instead."
        )


def _second_call(tool: str, text: str, token: str) -> CallToolResult:
    told = (
        f"needs_confirmation: Nothing was done yet. Ask the user: {text}\n"
        f"If they agree, call {tool} again with the same arguments and confirm={json.dumps(token)} "
        "(works once, for 10 minutes)."
    )
    meta = {"codewords/confirm": token}
    return CallToolResult(content=[TextContent(type="text", text=told)], is_error=True, _meta=meta)
