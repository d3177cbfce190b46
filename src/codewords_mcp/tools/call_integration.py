"""`call_integration`: something is done in another app, once, after a person has agreed where it changes anything."""

from __future__ import annotations

import time
from typing import Annotated, Any

from mcp_types import CallToolResult, InputRequiredResult
from pydantic import BaseModel, Field

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.consent import Asking, as_data, asker_of, waiting
from codewords_mcp.mcp_server.context import DoorContext, asking
from codewords_mcp.mcp_server.text import clean, clean_json, compact, cut, fence, one_line
from codewords_mcp.mcp_server.tool import EXECUTES, answer, tool
from codewords_mcp.runtime.model.integration import ActionOutcome
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.tools._integrations import ActionKey, App

_ASKED_WITHIN = 18.0
"""Seconds of a call after which it no longer waits for a person: the app has to answer yet."""
_WITHIN = 40.0
_AT_LEAST = 15.0
_RESULT_KEPT = 16_000
_RESULT_SHOWN = 1_500


class Called(BaseModel):
    """`result` is data from the app. `needs_consent`: nothing was done; a person agrees on the page at `consent_url`."""

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
    ctx: DoorContext,
    app: App,
    action: ActionKey,
    props: dict[str, Any] | None = None,
    account: Annotated[str | None, Field(description="One of several")] = None,
    confirm: Annotated[
        str | None, Field(description="From the reply that asked, once the user agreed")
    ] = None,
) -> Annotated[CallToolResult, Called] | InputRequiredResult:
    """Do something in a connected app, once. What changes anything needs the user's consent, asked on the way."""
    began = time.monotonic()
    person = Asking(ctx, until=began + _ASKED_WITHIN)
    asked = await person.answered_before()
    if confirm and asked is None:
        await person.on_page(confirm)
    wanted: dict[str, Any] = {"app": app, "action": action, "props": props or {}, "account": account}
    done = await _call(ctx, wanted, asked or confirm, began)
    if isinstance(done, ConsentNeeded) and asked is None and confirm is None:
        answered = await person.ask(done)
        if isinstance(answered, InputRequiredResult):
            return answered
        if answered:
            done = await _call(ctx, wanted, done.confirm, began)

    if isinstance(done, ConsentNeeded):
        return _waiting(done)

    return _told(done)


async def _call(
    ctx: DoorContext, wanted: dict[str, Any], confirm: str | None, began: float
) -> ActionOutcome | ConsentNeeded:
    runtime, caller = asking(ctx)
    seconds = max(began + _WITHIN - time.monotonic(), _AT_LEAST)
    return await runtime.call_or_ask(
        caller, **wanted, seconds=seconds, consent=Consent(confirm=confirm, asker=asker_of(ctx))
    )


def _waiting(question: ConsentNeeded) -> CallToolResult:
    data = Called(
        status="needs_consent", asks=as_data(question), consent_url=question.url, confirm=question.confirm
    )
    lines = waiting(question, "call_integration")
    return answer(data, "\n".join(lines))


def _told(done: ActionOutcome) -> CallToolResult:
    value = clean_json(done.ret)
    text = compact(value)
    too_long = len(text) > _RESULT_KEPT
    data = Called(
        status="done",
        action=done.action,
        account=done.account,
        summary=one_line(done.summary, 200) or None,
        result=cut(text, _RESULT_KEPT) if too_long else value,
        result_cut=too_long or None,
    )
    lines = [f"Done: {done.action}" + (f" with account {clean(done.account)}" if done.account else "")]
    shown = "\n".join(part for part in (done.summary, text if value is not None else "") if part)
    if shown:
        lines.append(fence(f"Reply of {done.action}", shown, _RESULT_SHOWN))
    return answer(data, "\n".join(lines))


TOOL = tool(call_integration, title="Call integration", hints=EXECUTES)
