"""Tests of workflows that are recorded runs: list, make, remove, run."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.bodies import Body, read_body
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.progress import answer, watched
from codewords_mcp.http.responses import NDJSON, JsonReply
from codewords_mcp.http.state import caller, runtime
from codewords_mcp.runtime.api.testing import SECONDS, TestRequest
from codewords_mcp.runtime.model.progress import Progress
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.testing import TestedRun, TestReport

MAX_TESTS_BODY: Final = 64 << 20
"""Bytes of code and exported recordings that are tested."""


class ExpectBody(Body):
    """`expect`: `answer`, `status`, `writes`, `same`, or fields of the answer (`$.total`); default: answer and writes."""

    expect: list[str] = Field(default_factory=list[str])


class TestBody(Body):
    """The tests of `service_id` or exported recordings (`documents`), on its live version, or a `version`, `draft` or `code`.

    `expect` is for `documents`. `faults` tries each recording with 429, 500, a timeout, an empty list, a missing field and
    a hidden instruction; the same `seed` makes the same ones.
    """

    __test__ = False

    service_id: str | None = None
    version: int | None = None
    draft: str | None = None
    code: str | None = None
    documents: list[Any] = Field(default_factory=list[Any])
    expect: list[str] = Field(default_factory=list[str])
    faults: bool = False
    seed: int = 0
    seconds: float = SECONDS


async def list_tests(request: Request) -> Response:
    """List the tests of a workflow, the latest first."""
    service_id = request.path_params["service_id"]
    return JsonReply({"items": await runtime(request.scope).tests.list(caller(request.scope), service_id)})


async def add_test(request: Request) -> Response:
    """Make a recorded run a test, if its own version repeats it."""
    body = await read_body(request, ExpectBody)
    added = runtime(request.scope).tests.add(
        caller(request.scope), request.path_params["run_id"], body.expect
    )
    return JsonReply(await watched(request, added))


async def remove_test(request: Request) -> Response:
    """Make a test an ordinary recording again."""
    await runtime(request.scope).tests.remove(caller(request.scope), request.path_params["run_id"])
    return Response(status_code=204)


async def run_tests(request: Request) -> Response:
    """Run tests."""
    body = await read_body(request, TestBody, MAX_TESTS_BODY)
    order = TestRequest(
        body.service_id,
        body.version,
        body.draft,
        body.code,
        body.documents,
        body.expect,
        body.faults,
        body.seed,
        body.seconds,
    )

    async def work(progress: Progress) -> TestReport:
        return await runtime(request.scope).tests.run(caller(request.scope), order, progress)

    return await answer(request, work)


OPERATIONS = [
    HttpOperation(
        "GET", "/workflows/{service_id}/tests", "List the tests of a workflow", list_tests, reply=items_of(RecordingInfo),
    ),
    HttpOperation(
        "PUT", "/recordings/{run_id}/test", "Make a recorded run a test", add_test, tag="runs", body=ExpectBody,
        reply=TestedRun, description="409 where a replay of its own version breaks the expectation already.",
    ),
    HttpOperation(
        "DELETE", "/recordings/{run_id}/test", "Make a test an ordinary recording again", remove_test, tag="runs",
        status=204,
    ),
    HttpOperation(
        "POST", "/tests", "Run tests", run_tests, body=TestBody, reply=TestReport, other_media=(NDJSON,),
        description="Nothing is sent. With `Accept: application/x-ndjson` it streams `{progress}` lines, then `{result}` or "
        "`{error}`.",
    ),
]  # fmt: skip
