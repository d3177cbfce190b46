"""Runs that ended with a question about writes: the question, and the answer that a new run goes on with."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.routes.run_records import RECORD
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.http.wire_format import run_record
from codewords_mcp.runtime.model.unknown_writes import ResumeQuestion


class WriteAnswer(Body):
    """The answer to one write of the question."""

    number: int
    sent: bool


class ResumeAnswers(Body):
    """The answers of a person: `writes` has one for each write of the question; `sent` is that of a question about one."""

    sent: bool | None = None
    writes: list[WriteAnswer] | None = Field(default=None, max_length=100_000)


async def question(request: Request) -> Response:
    """List the writes that a run asks about."""
    return JsonReply(await runtime(request.scope).resumes.question(caller(request.scope), _run_id(request)))


async def resume(request: Request) -> Response:
    """Go on with a run that ended with a question about writes."""
    answer = await read_body(request, ResumeAnswers)
    if (answer.sent is None) == (answer.writes is None):
        raise InvalidInput("Either `sent` or `writes` has the answer.")
    run = await runtime(request.scope).resumes.resume(
        caller(request.scope), _run_id(request), sent=_answers(answer)
    )
    return JsonReply(run_record(run), headers={"X-Request-Id": run.id})


def _answers(body: ResumeAnswers) -> bool | dict[int, bool]:
    if body.writes is None:
        return bool(body.sent)
    answers = {one.number: one.sent for one in body.writes}
    if len(answers) != len(body.writes):
        raise InvalidInput("`writes` has two answers to one write.")
    return answers


def _run_id(request: Request) -> str:
    return str(request.path_params["run_id"])


OPERATIONS = [
    HttpOperation(
        "GET", "/runs/{run_id}/resume", "List the writes that a run asks about", question, tag="runs",
        reply=ResumeQuestion,
        description="Of a run that ended with `write_unknown`: the writes that earlier attempts may have carried out, by number. "
        "None for any other run; `resumed_by` is the run that goes on after the answer.",
    ),
    HttpOperation(
        "POST", "/runs/{run_id}/resume", "Go on with a run that asks about writes", resume, tag="runs",
        body=ResumeAnswers, reply=RECORD,
        description="For a run that ended with `write_unknown`: `writes` says of each write of the question whether it was "
        'carried out (`{"number": 1, "sent": true}`); `sent` alone answers a question about one. A new run goes on with what '
        "is on record; its record is the reply.",
    ),
]  # fmt: skip
