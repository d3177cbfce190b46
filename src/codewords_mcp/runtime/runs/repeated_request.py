"""Requests that repeat an idempotency key: they get the response of the first run with it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import CodewordsError, Conflict, ProgramFailed, RunPending
from codewords_mcp.runtime.model.run import FINISHED, NOT_STORED, Run, RunRequest, RunResponse
from codewords_mcp.runtime.model.run_state import FAILED
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.results import ANSWERED_ERROR

_NEW_KEY = "A new Idempotency-Key runs it again."


@dataclass(frozen=True, slots=True)
class RepeatedRequest:
    """A request that started nothing: `first_run_id` is the run that first used its idempotency key."""

    first_run_id: str


def key_of_workflow(workflow: str, key: str) -> str:
    """The idempotency key of a call by a run of this workflow, as the called run has it on record."""
    # A digest, since the column is bounded and a program's key is not.
    return f"{workflow}/{hashlib.sha256(key.encode()).hexdigest()}"


def never_began(run: Run) -> bool:
    """Whether a call that somebody waited for failed before its first attempt: a repetition runs it anew."""
    return run.status in FAILED and not run.background and not run.attempts


async def read_whole(request: RunRequest) -> bytes:
    """Take the body of a request in, which can be read again then.

    A call with an idempotency key is on record only when all of its body is here: it goes on without its caller then.
    """
    body = b"".join([chunk async for chunk in request.body])
    request.body = replayed(body)
    return body


def repeat_response(run: Run) -> RunResponse:
    """Repeat the response of the first run with an idempotency key, if its record has it.

    Raises RunPending for a run that has not ended, the error of one that ended without a whole response, and Conflict where
    the response was not kept.
    """
    if run.status not in FINISHED:
        raise RunPending(
            f"The run {run.id} with this Idempotency-Key is still going on.",
            hint=f"Send the request again; GET /result/{run.id} waits for it, too.",
        )

    answered = run.error is None or run.error.code == ANSWERED_ERROR
    if run.response_status is None or (run.response_truncated and not answered):
        raise _failure(run)

    if run.response_file is not None:
        problem = "is kept as a file, which cannot be read now"
    elif run.response_content == NOT_STORED:
        problem = "holds something secret"
    elif run.response_truncated:
        problem = "was not kept whole"
    else:
        problem = ""
    if problem:
        raise Conflict(
            f"The run {run.id} with this Idempotency-Key has ended ({run.status}); its answer {problem}.",
            hint=_NEW_KEY,
        )

    content = (run.response_content or "").encode()
    if run.response_json is not None or _is_json(content):
        kind = b"application/json"
    else:
        kind = b"text/plain; charset=utf-8"

    return _repetition(run, run.response_status, kind, len(content), replayed(content))


def repeat_file(run: Run, size: int, chunks: AsyncIterator[bytes]) -> RunResponse:
    """Repeat a response that is kept as a file, of which `chunks` are the bytes."""
    assert run.response_file is not None  # noqa: S101  # it has the file that the caller has opened
    kind = run.response_file.content_type.encode()
    return _repetition(run, run.response_status or 200, kind, size, chunks)


def _repetition(run: Run, status: int, kind: bytes, size: int, body: AsyncIterator[bytes]) -> RunResponse:
    headers = [
        (b"content-type", kind),
        (b"content-length", str(size).encode()),
        (b"x-request-id", run.id.encode()),
        (b"idempotent-replay", b"true"),
    ]

    async def nothing_to_close() -> None:
        return None

    return RunResponse(run.id, status, headers, body, nothing_to_close)


def _failure(run: Run) -> CodewordsError:
    """The error that ended a run, as its first caller got it."""
    entry = run.error
    if entry is None:
        return Conflict(
            f"The run {run.id} with this Idempotency-Key ended without an answer ({run.status}).",
            hint=_NEW_KEY,
        )

    error = CodewordsError(entry.message, hint=f"{_NEW_KEY} {entry.hint}".strip(), remedy=entry.remedy)
    error.code, error.origin, error.run_id = entry.code, entry.origin, run.id
    error.status = ProgramFailed.status if entry.origin == "service" else _status_of(entry.code)
    return error


@cache
def _status_of(code: str) -> int:
    """The HTTP status of errors with this code."""
    kinds: list[type[CodewordsError]] = [CodewordsError]
    for kind in kinds:
        if "code" in vars(kind) and kind.code == code:
            return kind.status
        kinds += kind.__subclasses__()
    return CodewordsError.status


def _is_json(content: bytes) -> bool:
    with suppress(ValueError):
        parse(content)
        return True
    return False
