"""`call_integration`: call an action of another app once; one that writes needs a person's consent."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.consent import ConsentDialogue, asker_name, fenced_items, pending_lines
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import clean, clean_json, compact, cut, fence, one_line
from codewords_mcp.mcp_server.tool import EXECUTES, tool, tool_result
from codewords_mcp.runtime.model.integration import ActionOutcome
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.tools._integrations import ActionKey, App

_CONSENT_TIMEOUT = 18.0
"""Seconds of a call after which it no longer waits for a person: the rest is for the app."""
_CALL_TIMEOUT = 40.0
_MIN_TIMEOUT = 15.0
_MAX_RESULT = 16_000
_MAX_RESULT_SHOWN = 1_500


class IntegrationCallResult(BaseModel):
    """The result of an action: data from the app.

    `needs_consent`: nothing was done; a person agrees on the page at `consent_url`.
    """

    status: str
    action: str | None = None
    account: str | None = None
    summary: str | None = None
    result: Any = None
    result_cut: bool | None = None
    asks: list[str] = []
    consent_url: str | None = None
    confirm: str | None = None


async def call_integration(
    ctx: ToolContext,
    app: App,
    action: ActionKey,
    props: dict[str, Any] | None = None,
    account: Annotated[str | None, Field(description="One of several")] = None,
    confirm: Annotated[
        str | None, Field(description="From the reply that asked, once the user agreed")
    ] = None,
) -> Annotated[CallToolResult, IntegrationCallResult] | InputRequiredResult:
    """Do something in a connected app, once. What changes anything needs the user's consent, asked on the way."""
    started = time.monotonic()
    dialogue = ConsentDialogue(ctx, until=started + _CONSENT_TIMEOUT)
    call: dict[str, Any] = {"app": app, "action": action, "props": props or {}, "account": account}
    token = await dialogue.previous_token(confirm)
    result = await dialogue.decide(token, partial(_call, ctx, call, started))
    if isinstance(result, InputRequiredResult):
        return result
    if isinstance(result, ConsentNeeded):
        return _pending_result(result)

    return _done_result(result)


async def _call(
    ctx: ToolContext, call: dict[str, Any], started: float, confirm: str | None
) -> ActionOutcome | ConsentNeeded:
    runtime, caller = runtime_and_caller(ctx)
    timeout = max(started + _CALL_TIMEOUT - time.monotonic(), _MIN_TIMEOUT)
    return await runtime.integrations.try_call(
        caller, **call, seconds=timeout, consent=Consent(confirm=confirm, asker=asker_name(ctx))
    )


def _pending_result(question: ConsentNeeded) -> CallToolResult:
    data = IntegrationCallResult(
        status="needs_consent",
        asks=fenced_items(question),
        consent_url=question.url,
        confirm=question.confirm,
    )
    lines = pending_lines(question, "call_integration")
    return tool_result(data, "\n".join(lines))


def _done_result(done: ActionOutcome) -> CallToolResult:
    value = clean_json(done.ret)
    text = compact(value)
    too_long = len(text) > _MAX_RESULT
    data = IntegrationCallResult(
        status="done",
        action=done.action,
        account=done.account,
        summary=one_line(done.summary, 200) or None,
        result=cut(text, _MAX_RESULT) if too_long else value,
        result_cut=too_long or None,
    )
    files = [
        f"File {one_line(str(file.get('name')), 80)}: {file['url']}" for file in done.files if file.get("url")
    ]
    lines = [f"Done: {done.action}" + (f" with account {clean(done.account)}" if done.account else "")]
    shown = "\n".join(part for part in (done.summary, text if value is not None else "") if part)
    if shown:
        lines.append(fence(f"Reply of {done.action}", shown, _MAX_RESULT_SHOWN))
    lines += files if done.backend == "mcp" else []
    return tool_result(data, "\n".join(lines))


TOOL = tool(call_integration, title="Call integration", hints=EXECUTES)
