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
from codewords_mcp.mcp_server.consent import Asking, asker_of, waiting
from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.runtime.auth.questions import Question, of_tool
from codewords_mcp.runtime.model.workflow import Consent

CONFIRM = "confirm"
"""The argument that a tool with a question has beside its own."""
SCHEMA = {"type": "string", "description": "Token of the reply that asked"}
ASKED_WITHIN = 30.0
"""Seconds of a call after which it no longer waits for a person: what they agreed to has to be done yet."""
Ask = Callable[[DoorContext, dict[str, Any]], Awaitable[str | Question | None]]
"""`await ask(ctx, arguments)`: what to ask the person, a sentence of ours or a whole question; None where nothing is asked."""


async def settle(
    ctx: DoorContext, tool: str, arguments: dict[str, Any], confirm: str | None, ask: Ask
) -> CallToolResult | InputRequiredResult | None:
    """None where the tool may go on; else what to answer instead. Raises Forbidden where the person declined."""
    person = Asking(ctx, until=time.monotonic() + ASKED_WITHIN)
    before = await person.answered_before()
    if confirm and before is None:
        await person.on_page(confirm)
    asked = await ask(ctx, arguments)
    if asked is None:
        return None

    _, caller = asking(ctx)
    if isinstance(asked, str):
        question = of_tool(caller.owner, tool, arguments, asked)
    else:
        question = asked

    needed = await _settle(ctx, question, before or confirm)
    if needed is not None and before is None and confirm is None:
        answered = await person.ask(needed)
        if isinstance(answered, InputRequiredResult):
            return answered
        if answered:
            needed = await _settle(ctx, question, needed.confirm)

    if needed is None:
        return None

    return told(needed, tool)


async def put(
    ctx: DoorContext, needed: ConsentNeeded, tool: str, confirm: str | None
) -> CallToolResult | InputRequiredResult | None:
    """Put to the person what the runtime asks before it does the tool's work; None where they have answered just now."""
    person = Asking(ctx, until=time.monotonic() + ASKED_WITHIN)
    if confirm is None and ctx.input_responses is None:
        answered = await person.ask(needed)
        if isinstance(answered, InputRequiredResult):
            return answered
        if answered:
            return None
    return told(needed, tool)


def told(needed: ConsentNeeded, tool: str) -> CallToolResult:
    """A question that waits, as a result: its items are data."""
    text = "\n".join(["needs_consent: " + needed.message, *waiting(needed, tool)[1:]])
    meta = {"codewords/confirm": needed.confirm}
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


async def asks_nothing(_ctx: DoorContext, _arguments: dict[str, Any]) -> None:
    """For a tool that asks nothing itself: what the runtime asks before it does the tool's work is put by `put`."""


async def _settle(ctx: DoorContext, question: Question, confirm: str | None) -> ConsentNeeded | None:
    runtime, caller = asking(ctx)
    return await runtime.settle_or_ask(caller, question, Consent(confirm=confirm, asker=asker_of(ctx)))
