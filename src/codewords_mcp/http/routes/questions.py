"""Questions that wait for a person: read one whole, and answer it in the console."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from pydantic import Field
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.middleware.session_cookies import browser_of
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.question_info import QuestionAnswer, QuestionInfo
from codewords_mcp.runtime.model.run_wait import ApprovalInfo, PersonAnswer


class AnswerBody(Body):
    """`agreed`: a person's yes or no to exactly what the question says. A run's question takes one of its options as
    `answer`, and values of its `fields`.
    """

    agreed: bool | None = None
    answer: str | None = None
    fields: dict[str, Any] = Field(default_factory=dict[str, Any])


async def question(request: Request) -> Response:
    """Answer with an open question. Reading does not answer it."""
    api, token = runtime(request.scope), _token(request)
    if token.startswith(_OF_RUN):
        return JsonReply(QuestionInfo.of_run(await api.approvals.peek(caller(request.scope), token)))
    return JsonReply(QuestionInfo.of(await api.consents.peek(caller(request.scope), token)))


async def answer(request: Request) -> Response:
    """Take a person's answer, once."""
    body = await read_body(request, AnswerBody)
    api, answerer, token = runtime(request.scope), caller(request.scope), _token(request)
    if token.startswith(_OF_RUN):
        if body.answer is None:
            raise InvalidInput("`answer` is missing.", hint="It is one of the question's options.")
        reply = PersonAnswer(body.answer, body.fields, _source(request))
        message = await api.approvals.answer(answerer, token, reply)
        return JsonReply(QuestionAnswer(answer=body.answer, message=message))

    if body.agreed is None:
        raise InvalidInput("`agreed` is missing.", hint="It is true or false.")
    message = await api.consents.answer(answerer, token, agreed=body.agreed)
    return JsonReply(QuestionAnswer(agreed=body.agreed, message=message))


async def approvals(request: Request) -> Response:
    """Answer with the questions of a run."""
    run_id = str(request.path_params["run_id"])
    found = await runtime(request.scope).approvals.of_run(caller(request.scope), run_id)
    return JsonReply({"items": found})


async def page(request: Request) -> Response:
    """Lead to the question in the console's inbox."""
    # Asked for its error: who is not signed in gets the page to sign in, which leads back here.
    person(request.scope)
    return RedirectResponse(f"/console/inbox?{urlencode({'item': _token(request)})}", 303)


def _source(request: Request) -> str:
    """The place of an answer: the browser, and the address that it came from."""
    if request.client is not None:
        address = request.client.host
    else:
        address = "an unknown address"
    return f"{browser_of(request.scope)} at {address}"


def _token(request: Request) -> str:
    return str(request.path_params["token"])


_TAG = "questions"
_OF_RUN = "ask_"
"""Begins the ids of questions that runs ask."""
OPERATIONS = [
    HttpOperation(
        "GET", "/runs/{run_id}/approvals", "List the questions that a run asks a person", approvals, tag=_TAG,
        reply=items_of(ApprovalInfo),
        description="The newest first, each with its answer: who answered, when, and from where.",
    ),
    HttpOperation("GET", "/approvals/{token}", "The page of a question that a run asks", page, media="text/html"),
    HttpOperation(
        "GET", "/questions/{token}", "Read a question that waits for a person", question, tag=_TAG, reply=QuestionInfo,
        description="`token` is that of 403 `consent_needed` (`confirm`), or the end of the question's `path` in `GET /waiting`. "
        "404 once it was answered or has expired.",
    ),
    HttpOperation(
        "POST", "/questions/{token}", "Answer a question, as its person", answer, tag=_TAG, body=AnswerBody, reply=QuestionAnswer,
        description="A run's question takes `answer`, one of its options, and `fields`; others take `agreed`. "
        "Only for the console's own page and the person who is signed in to it: a key is no answer. The first answer "
        "counts; a later one is 404, or 409 where both came at once or it is too late for a run's question.",
    ),
]  # fmt: skip
