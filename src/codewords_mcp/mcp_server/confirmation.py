"""Confirmation of tool calls that destroy, send or act: the question that a tool declares (`confirm=`).

It is asked by the consent dialogue. The token names the question and is no consent, unless the operator
set CODEWORDS_CONSENT=token.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult, TextContent

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.consent import ConsentDialogue, asker_name, fenced_items, pending_lines
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.tool_errors import ERROR_KEY
from codewords_mcp.runtime.model.call_questions import of_tool
from codewords_mcp.runtime.model.questions import Question
from codewords_mcp.runtime.model.workflow import Consent

ToolResult = CallToolResult | InputRequiredResult
"""The result of a tool's call: an answer, or a question to the person."""
CONFIRM = "confirm"
"""The argument that is added to a tool with a question."""
SCHEMA = {"type": "string", "description": "Token of the reply that asked"}
CONFIRM_TIMEOUT = 30.0
"""Seconds of a call after which it no longer waits for a person: the rest is for the tool's work."""
MakeQuestion = Callable[[ToolContext, dict[str, Any]], Awaitable[str | Question | None]]
"""Makes a tool's question: a sentence or a `Question`; None if the call needs no consent."""


async def ask_tool_question(
    ctx: ToolContext, tool: str, arguments: dict[str, Any], confirm: str | None, make_question: MakeQuestion
) -> ToolResult | None:
    """Ask the tool's question. Returns None if the tool may continue, else the result of the call.

    Raises Forbidden if the person declined.
    """
    dialogue = ConsentDialogue(ctx, until=time.monotonic() + CONFIRM_TIMEOUT)
    token = await dialogue.previous_token(confirm)
    prepared = await make_question(ctx, arguments)
    if prepared is None:
        return None

    runtime, caller = runtime_and_caller(ctx)
    if isinstance(prepared, str):
        question = of_tool(caller.owner, tool, arguments, prepared)
    else:
        question = prepared

    async def attempt(token: str | None) -> ConsentNeeded | None:
        consent = Consent(confirm=token, asker=asker_name(ctx))
        return await runtime.consents.request(caller, question, consent)

    pending = await dialogue.decide(token, attempt)
    if isinstance(pending, ConsentNeeded):
        return pending_result(pending, tool)
    return pending


async def ask_runtime_question(
    ctx: ToolContext, pending: ConsentNeeded, tool: str, confirm: str | None
) -> ToolResult | None:
    """Ask a question that the runtime raised during the tool's work. Returns None if the person just decided."""
    dialogue = ConsentDialogue(ctx, until=time.monotonic() + CONFIRM_TIMEOUT)
    # A call with a token or a response belongs to a question that was asked, and a person is asked once.
    if confirm is None and ctx.input_responses is None:
        outcome = await dialogue.ask(pending)
        if isinstance(outcome, InputRequiredResult):
            return outcome
        if outcome:
            return None
    return pending_result(pending, tool)


def pending_result(pending: ConsentNeeded, tool: str) -> CallToolResult:
    """Make a result of a pending question; its items are fenced as data."""
    text = "\n".join(["needs_consent: " + pending.message, *pending_lines(pending, tool)[1:]])
    meta = {
        "codewords/confirm": pending.confirm,
        ERROR_KEY: pending.to_dict() | {"asks": fenced_items(pending)},
    }
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


async def no_question(_ctx: ToolContext, _arguments: dict[str, Any]) -> None:
    """Ask nothing: for tools whose question comes from the runtime (`ask_runtime_question`)."""
