"""Asking a person before something is done, by the best way that the client has.

A form where it shows one, else the runtime's own page where it opens pages, else the page's address as text. The model
carries a token from one call to the next, but what counts is the person's answer: silence never does.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any, Literal

import anyio
from mcp_types import (
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import EMPTY_FORM, elicit_form, elicit_url
from codewords_mcp.mcp_server.tasks import task_of
from codewords_mcp.mcp_server.text import fence
from codewords_mcp.runtime.auth.questions import describe_key
from codewords_mcp.runtime.model.plain_text import quoted

ANSWER_TIMEOUT = 25.0
"""Seconds that a call waits for a person; what they say on the page later is found by the next call."""
TASK_ANSWER_TIMEOUT = 600.0
"""Seconds that a task waits for a person: as long as the page's address is good."""
MAX_FORM_CHARS = 4_000
"""Characters that a client's form is trusted to show; the page shows any number."""
_QUESTION = "consent"
Way = Literal["form", "page", "text"]


@dataclass(frozen=True, slots=True)
class ConsentDialogue:
    """One call that may ask, and until when (by the monotonic clock) it may wait for a person."""

    ctx: ToolContext
    until: float

    @property
    def seconds(self) -> float:
        """How long to wait for a person now; a second at the least."""
        if task_of(self.ctx) is None:
            most = ANSWER_TIMEOUT
        else:
            most = TASK_ANSWER_TIMEOUT
        return min(max(self.until - time.monotonic(), 1.0), most)

    async def answered_before(self) -> str | None:
        """The token of a question that the client has put in the way of 2026-07-28, its answer taken; None in a first call."""
        ctx = self.ctx
        if ctx.input_responses is None or ctx.request_state is None:
            return None

        state: dict[str, Any] = json.loads(
            ctx.request_state
        )  # sealed by the SDK: it comes back as it was given
        reply = ctx.input_responses.get(_QUESTION)
        token = str(state["confirm"])
        if not isinstance(reply, ElicitResult):  # an answer to another question is none to this one
            return token

        accepted = reply.action == "accept"
        if state["way"] == "form" or not accepted:
            await self._take(token, agreed=accepted)
        await self.on_page(token)
        return token

    async def on_page(self, token: str) -> bool:
        """Wait for what the person says on the page; whether they have."""
        runtime, caller = runtime_and_caller(self.ctx)
        return await runtime.wait_for_consent(caller, token, self.seconds) is not None

    async def ask(self, question: ConsentNeeded) -> InputRequiredResult | bool:
        """Ask the person and take the answer; whether they gave one. Or the question, for the client to put."""
        ctx, way = self.ctx, _way(self.ctx, question)
        if way == "text":
            runtime, caller = runtime_and_caller(ctx)
            await runtime.open_page(caller.owner, question.url)
            return False

        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return _input_required(question, way)

        with anyio.move_on_after(self.seconds):
            return await (self._by_form(question) if way == "form" else self._by_page(question))
        return False

    async def _by_form(self, question: ConsentNeeded) -> bool:
        action = await elicit_form(self.ctx, _message(question))
        if action is None:
            return False
        await self._take(question.confirm, agreed=action == "accept")
        return True

    async def _by_page(self, question: ConsentNeeded) -> bool:
        asked = secrets.token_urlsafe(16)
        action = await elicit_url(self.ctx, _message(question), question.url, asked)
        if action is None:
            return False
        if action != "accept":
            await self._take(question.confirm, agreed=False)
            return True
        answered = await self.on_page(question.confirm)
        await self.ctx.session.send_elicit_complete(asked, self.ctx.request_id)
        return answered

    async def _take(self, token: str, *, agreed: bool) -> None:
        runtime, caller = runtime_and_caller(self.ctx)
        await runtime.answer_consent(caller, token, agreed=agreed)


def _input_required(question: ConsentNeeded, way: Way) -> InputRequiredResult:
    """The server may not ask here: the client asks, and calls again with the answer and the (sealed) state."""
    params: Any = (
        ElicitRequestFormParams(message=_message(question), requested_schema=EMPTY_FORM)
        if way == "form"
        else ElicitRequestURLParams(message=_message(question), url=question.url)
    )
    state = json.dumps({"confirm": question.confirm, "way": way})
    return InputRequiredResult(input_requests={_QUESTION: ElicitRequest(params=params)}, request_state=state)


def _way(ctx: ToolContext, question: ConsentNeeded) -> Way:
    can = ctx.client_capabilities
    elicitation = can.elicitation if can else None
    if elicitation is None:
        return "text"

    # before 2025-11-25 the capability had no members and meant forms
    shows_forms = elicitation.form is not None or elicitation.url is None
    if shows_forms and len(_message(question)) <= MAX_FORM_CHARS:
        return "form"
    if elicitation.url is not None:
        return "page"

    return "text"


def _message(question: ConsentNeeded) -> str:
    if "deploy" in question.message:
        page = f"The code and its difference can be seen at {question.url}."
    else:
        page = ""
    return "\n".join(part for part in (question.question, *question.asks, page) if part)


def asker_name(ctx: ToolContext) -> str:
    """Who asks, as the question tells it: the chat host by its own name, and the key that it has."""
    _, caller = runtime_and_caller(ctx)
    params = getattr(ctx.session, "client_params", None)  # a task outlives the session that began it
    if params is not None:
        host = quoted(params.client_info.name, 60)
    else:
        host = "a chat host"
    return f"{host}, over MCP with {describe_key(caller)}"


def fenced_items(question: ConsentNeeded) -> list[str]:
    """What is asked, one item a line, between a label and a random boundary: hosts show structured results too."""
    return fence(
        "What is asked", "\n".join(" ".join(line.split()) for line in question.asks), MAX_FORM_CHARS
    ).splitlines()


def pending_lines(question: ConsentNeeded, tool: str, *, by_token: bool = True) -> list[str]:
    """What a model is told to do about a question that waits, and what is asked, as data.

    `by_token`: the tool takes `confirm`.
    """
    next_step = (
        f"Next: ask the user to run `codewords open`, or to open {question.url} and sign in there; there they agree or decline"
        " (once, within 10 minutes). You can't answer for them."
    )
    return [
        question.message,
        *fenced_items(question),
        next_step,
        f"Then call {tool} again with the same arguments"
        + (f" and confirm={json.dumps(question.confirm)}." if by_token else "."),
    ]
