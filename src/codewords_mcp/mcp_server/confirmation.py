"""A person's yes to what destroys, sends or acts: the question that a tool declares (`confirm=` of `tool`).

It is put as the questions of deploys are: by a form, on a page, or as the page's address in the reply, with a token that means
the question and is no answer to it. Where the operator said that nobody is there (CODEWORDS_CONSENT=token), the token is.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_types import CallToolResult, InputRequiredResult, TextContent

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.consent import ConsentDialogue, asker_name, pending_lines
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.runtime.auth.questions import Question, of_tool
from codewords_mcp.runtime.model.workflow import Consent

CONFIRM = "confirm"
"""The argument that a tool with a question has beside its own."""
SCHEMA = {"type": "string", "description": "Token of the reply that asked"}
CONFIRM_TIMEOUT = 30.0
"""Seconds of a call after which it no longer waits for a person: what they agreed to has to be done yet."""
MakeQuestion = Callable[[ToolContext, dict[str, Any]], Awaitable[str | Question | None]]
"""`await ask(ctx, arguments)`: what to ask the person, a sentence of ours or a whole question; None where nothing is asked."""


async def ask_tool_question(
    ctx: ToolContext, tool: str, arguments: dict[str, Any], confirm: str | None, ask: MakeQuestion
) -> CallToolResult | InputRequiredResult | None:
    """None where the tool may go on; else what to answer instead. Raises Forbidden where the person declined."""
    dialogue = ConsentDialogue(ctx, until=time.monotonic() + CONFIRM_TIMEOUT)
    previous = await dialogue.answered_before()
    if confirm and previous is None:
        await dialogue.on_page(confirm)
    prepared = await ask(ctx, arguments)
    if prepared is None:
        return None

    _, caller = runtime_and_caller(ctx)
    if isinstance(prepared, str):
        question = of_tool(caller.owner, tool, arguments, prepared)
    else:
        question = prepared

    pending = await _settle(ctx, question, previous or confirm)
    if pending is not None and previous is None and confirm is None:
        outcome = await dialogue.ask(pending)
        if isinstance(outcome, InputRequiredResult):
            return outcome
        if outcome:
            pending = await _settle(ctx, question, pending.confirm)

    if pending is None:
        return None

    return pending_result(pending, tool)


async def ask_runtime_question(
    ctx: ToolContext, pending: ConsentNeeded, tool: str, confirm: str | None
) -> CallToolResult | InputRequiredResult | None:
    """Put to the person what the runtime asks before it does the tool's work; None where they have answered just now."""
    dialogue = ConsentDialogue(ctx, until=time.monotonic() + CONFIRM_TIMEOUT)
    if confirm is None and ctx.input_responses is None:
        outcome = await dialogue.ask(pending)
        if isinstance(outcome, InputRequiredResult):
            return outcome
        if outcome:
            return None
    return pending_result(pending, tool)


def pending_result(pending: ConsentNeeded, tool: str) -> CallToolResult:
    """A question that waits, as a result: its items are data."""
    text = "\n".join(["needs_consent: " + pending.message, *pending_lines(pending, tool)[1:]])
    meta = {"codewords/confirm": pending.confirm}
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


async def no_question(_ctx: ToolContext, _arguments: dict[str, Any]) -> None:
    """Ask nothing: for tools whose question comes from the runtime (`ask_runtime_question`)."""


async def _settle(ctx: ToolContext, question: Question, confirm: str | None) -> ConsentNeeded | None:
    runtime, caller = runtime_and_caller(ctx)
    return await runtime.settle_or_ask(caller, question, Consent(confirm=confirm, asker=asker_name(ctx)))
