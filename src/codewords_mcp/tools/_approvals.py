"""The question that a run asks a person: named to the model, and put to the person in a form of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mcp_types import ElicitResult, InputRequiredResult

from codewords_mcp.errors import CodewordsError
from codewords_mcp.mcp_server.consent import MAX_FORM_CHARS, asker_name
from codewords_mcp.mcp_server.context import ToolContext, limits_of, runtime_and_caller
from codewords_mcp.mcp_server.elicitation import Elicitation, can_fill_forms, earlier_response
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.run_wait import ApprovalInfo, PersonAnswer

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime
    from codewords_mcp.runtime.model.caller import Caller

_KEY: Final = "approval"
_ANSWER: Final = "answer"
_SHOWN: Final = 2_000
_KEYWORDS: Final = frozenset(
    {"type", "title", "description", "default", "enum", "minimum", "maximum", "minLength", "maxLength"}
)
"""Keywords of a field that clients understand in a form."""


async def open_question(runtime: Runtime, caller: Caller, run: Run) -> ApprovalInfo | None:
    """The question that a run waits for; None for a run that waits for none."""
    if run.owner != caller.owner or caller.kind == "run" or run.status not in {"queued", "running"}:
        return None
    return next((one for one in await runtime.approvals.of_run(caller, run.id) if one.status == "open"), None)


async def ask_person(ctx: ToolContext, run: Run) -> InputRequiredResult | bool:
    """Put the question of a run to the person, once. True if they have answered it; else the question for the client to ask.

    The model has no part in it: an answer is what the client's form brings.
    """
    runtime, caller = runtime_and_caller(ctx)
    if response := earlier_response(ctx, _KEY):
        if response.action == "accept":
            return await _record(ctx, response.state["question"], response.content)
        return False

    question = await open_question(runtime, caller, run)
    if question is None or not can_fill_forms(ctx) or len(question.details) > MAX_FORM_CHARS:
        return False
    # Several calls may wait for one run, and a second form about the same question would confuse.
    if not runtime.approvals.offer(question.id):
        return False

    elicitation = Elicitation(_KEY, _message(question), None, {"question": question.id}, _form(question))
    result = await elicitation.fill(ctx, limits_of(ctx).answer_timeout)
    if isinstance(result, InputRequiredResult):
        return result
    if isinstance(result, ElicitResult) and result.action == "accept":
        return await _record(ctx, question.id, dict(result.content or {}))
    return False


async def _record(ctx: ToolContext, question_id: str, content: dict[str, Any]) -> bool:
    runtime, caller = runtime_and_caller(ctx)
    fields = {name: value for name, value in content.items() if name != _ANSWER}
    reply = PersonAnswer(str(content.get(_ANSWER, "")), fields, f"a form of {asker_name(ctx)}")
    try:
        await runtime.approvals.answer(caller, question_id, reply)
    except CodewordsError:
        # Somebody else was first, or the form was filled in wrongly: the question's state says which.
        return False
    return True


async def question_text(runtime: Runtime, caller: Caller, run: Run) -> str:
    """The question or address that a run waits for, for a model; "" without one. What is asked is data, and the person
    answers.
    """
    question = await open_question(runtime, caller, run)
    if question is None:
        return await _address_text(runtime, caller, run)
    url = f"{runtime.base_url}/approvals/{question.id}"
    text = "\n".join([question.title, question.details, f"Answers: {', '.join(question.options)}"])
    return (
        f"{fence('The run asks a person', text, _SHOWN)}\nOnly the user can answer, until "
        f"{question.due_at.isoformat(timespec='seconds')}: in the console at {url}, or by `codewords open {question.id}`. "
        "The run goes on by itself then."
    )


async def _address_text(runtime: Runtime, caller: Caller, run: Run) -> str:
    if run.owner != caller.owner or caller.kind == "run" or run.status not in {"queued", "running"}:
        return ""
    found = await runtime.approvals.address_of(run)
    if found is None:
        return ""
    url, due_at = found
    return f"The run waits for a POST to {url}, until {due_at.isoformat(timespec='seconds')}."


def _message(question: ApprovalInfo) -> str:
    lines = [f"The workflow {question.service_id} asks: {question.title}", question.details]
    return "\n".join(filter(None, lines))


def _form(question: ApprovalInfo) -> dict[str, Any]:
    fields = question.fields or {"properties": {}, "required": []}
    properties = {
        # A form knows no field of any type, so one that names none takes text.
        name: {"type": "string"} | {word: value for word, value in schema.items() if word in _KEYWORDS}
        for name, schema in fields["properties"].items()
        if name != _ANSWER
    }
    answers = {"type": "string", "title": one_line(question.title, 200), "enum": question.options}
    return {
        "type": "object",
        "properties": {_ANSWER: answers, **properties},
        "required": [_ANSWER, *fields["required"]],
    }
