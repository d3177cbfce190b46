"""The consent dialogue: ask a person before something is done, by the best means of the client.

That is a form, else the runtime's own page, else the page's URL as text. The model passes a token from
one call to the next, but only the person's decision counts; silence is never consent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from mcp_types import InputRequiredResult

from codewords_mcp.errors import ConsentNeeded
from codewords_mcp.mcp_server.context import ToolContext, limits_of, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import Action, Elicitation, earlier_response
from codewords_mcp.mcp_server.task_session import task_of
from codewords_mcp.mcp_server.text import fence
from codewords_mcp.runtime.model.plain_text import quoted
from codewords_mcp.runtime.model.questions import describe_key

MAX_FORM_CHARS = 4_000
"""Characters that a client's form is trusted to show; the page has no limit."""
_QUESTION = "consent"
Way = Literal["form", "page", "text"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConsentDialogue:
    """The dialogue of one call. `until` (monotonic clock) is the end of its wait for a person."""

    ctx: ToolContext
    until: float

    @property
    def timeout(self) -> float:
        """Return how long to wait for a person now; at least a second."""
        limits = limits_of(self.ctx)
        if task_of(self.ctx) is None:
            limit = limits.answer_timeout
        else:
            limit = limits.task_answer_timeout
        return min(max(self.until - time.monotonic(), 1.0), limit)

    async def previous_token(self, confirm: str | None) -> str | None:
        """Return the token of a question that an earlier call asked; None in a first call.

        The decision is taken from the client's input response, or awaited on the page. `confirm` is
        the token that the model passed.
        """
        token = await self._token_of_input_response()
        if confirm and token is None:
            await self._wait_for_page(confirm)
        return token or confirm

    async def decide(
        self, token: str | None, attempt: Callable[[str | None], Awaitable[T | ConsentNeeded]]
    ) -> T | ConsentNeeded | InputRequiredResult:
        """Attempt an operation; if it needs consent, ask the person once and attempt it again.

        `attempt` gets the token of the question that it may rely on. Returns ConsentNeeded if no
        decision came, or the question for the client to ask.
        """
        result = await attempt(token)
        # A question with a token was asked by an earlier call; asking again would ask a person
        # twice.
        if token is not None or not isinstance(result, ConsentNeeded):
            return result

        outcome = await self.ask(result)
        if isinstance(outcome, InputRequiredResult):
            return outcome
        if outcome:
            return await attempt(result.confirm)
        return result

    async def _token_of_input_response(self) -> str | None:
        """Record the client's input response (protocol 2026-07-28); return its question's token, or None."""
        response = earlier_response(self.ctx, _QUESTION)
        if response is None:
            return None

        token = response.state["confirm"]
        if response.action is None:
            return token

        accepted = response.action == "accept"
        # Accepting a page means only that the client opened it; the decision is made on the
        # page.
        if response.state["way"] == "form" or not accepted:
            await self._record(token, agreed=accepted)
        await self._wait_for_page(token)
        return token

    async def _wait_for_page(self, token: str) -> bool:
        """Wait for the person's decision on the page. Returns whether they made one."""
        runtime, caller = runtime_and_caller(self.ctx)
        return await runtime.consents.wait(caller, token, self.timeout) is not None

    async def ask(self, question: ConsentNeeded) -> InputRequiredResult | bool:
        """Ask the person and record the decision. Returns whether they made one, or the question for the client to ask."""
        ctx, way = self.ctx, _way(self.ctx, question)
        if way == "text":
            runtime, caller = runtime_and_caller(ctx)
            await runtime.sessions.open_page(caller.owner, question.url)
            return False

        async def decided(action: Action) -> bool:
            accepted = action == "accept"
            if way == "page" and accepted:
                return await self._wait_for_page(question.confirm)
            await self._record(question.confirm, agreed=accepted)
            return True

        elicitation = Elicitation(
            _QUESTION,
            _message(question),
            question.url if way == "page" else None,
            {"confirm": question.confirm, "way": way},
        )
        outcome = await elicitation.ask(ctx, self.timeout, decided)
        if isinstance(outcome, InputRequiredResult):
            return outcome
        return bool(outcome)

    async def _record(self, token: str, *, agreed: bool) -> None:
        runtime, caller = runtime_and_caller(self.ctx)
        await runtime.consents.decide(caller, token, agreed=agreed)


def _way(ctx: ToolContext, question: ConsentNeeded) -> Way:
    can = ctx.client_capabilities
    elicitation = can.elicitation if can else None
    if elicitation is None:
        return "text"

    # Before 2025-11-25 the capability had no members and meant forms.
    shows_forms = elicitation.form is not None or elicitation.url is None
    if shows_forms and len(_message(question)) <= MAX_FORM_CHARS:
        return "form"
    # A long question goes to the page, which shows it whole.
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
    """Describe the asker for the question: the chat host by its own name, and its key."""
    _, caller = runtime_and_caller(ctx)
    params = getattr(ctx.session, "client_params", None)  # absent in a task, which outlives its session
    if params is not None:
        host = quoted(params.client_info.name, 60)
    else:
        host = "a chat host"
    return f"{host}, over MCP with {describe_key(caller)}"


def fenced_items(question: ConsentNeeded) -> list[str]:
    """Return the question's items, one a line, fenced as data: hosts show structured results too."""
    return fence(
        "What is asked", "\n".join(" ".join(line.split()) for line in question.asks), MAX_FORM_CHARS
    ).splitlines()


def pending_lines(question: ConsentNeeded, tool: str, *, by_token: bool = True) -> list[str]:
    """Format a pending question for a model: its items as data, and the next steps.

    `by_token`: the tool takes the argument `confirm`.
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
