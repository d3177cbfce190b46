"""Questions that wait for a person: read one whole, and answer it in the console."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.model.question_info import QuestionAnswer, QuestionInfo


class AnswerBody(Body):
    """`agreed`: a person's yes or no to exactly what the question says."""

    agreed: bool


async def question(request: Request) -> Response:
    """Answer with an open question. Reading does not answer it."""
    found = await runtime(request.scope).consents.peek(caller(request.scope), _token(request))
    return JsonReply(QuestionInfo.of(found))


async def answer(request: Request) -> Response:
    """Take a person's answer, once."""
    body = await read_body(request, AnswerBody)
    then = await runtime(request.scope).consents.answer(
        caller(request.scope), _token(request), agreed=body.agreed
    )
    return JsonReply(QuestionAnswer(agreed=body.agreed, message=then))


def _token(request: Request) -> str:
    return str(request.path_params["token"])


_TAG = "questions"
OPERATIONS = [
    HttpOperation(
        "GET", "/questions/{token}", "Read a question that waits for a person", question, tag=_TAG, reply=QuestionInfo,
        description="`token` is that of 403 `consent_needed` (`confirm`), or the end of the question's `path` in `GET /waiting`. "
        "404 once it was answered or has expired.",
    ),
    HttpOperation(
        "POST", "/questions/{token}", "Answer a question, as its person", answer, tag=_TAG, body=AnswerBody, reply=QuestionAnswer,
        description="Only for the console's own page and the person who is signed in to it: a key is no answer. The first answer "
        "counts; a later one is 404, or 409 where both came at once.",
    ),
]  # fmt: skip
