"""Requests that repeat an idempotency key: they get the response of the first run with it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import Conflict
from codewords_mcp.runtime.model.run import FINISHED, Run, RunResponse
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.results import NOT_STORED


@dataclass(frozen=True, slots=True)
class RepeatedRequest:
    """A request that started nothing: `first_run_id` is the run that first used its idempotency key."""

    first_run_id: str


def key_of_workflow(workflow: str, key: str) -> str:
    """The idempotency key of a call by a run of this workflow, as the called run has it on record."""
    # A digest, since the column is bounded and a program's key is not.
    return f"{workflow}/{hashlib.sha256(key.encode()).hexdigest()}"


def repeat_response(run: Run) -> RunResponse:
    """Repeat the response of the first run with an idempotency key. Raises Conflict where there is none to repeat."""
    if run.status not in FINISHED:
        raise Conflict(
            f"The run {run.id} with this Idempotency-Key is still going on.",
            hint=f"GET /result/{run.id} waits for it.",
        )
    if run.response_status is None:
        raise Conflict(
            f"The run {run.id} with this Idempotency-Key ended without an answer ({run.status}).",
            hint="Use a new key to run again.",
        )
    # Its bytes are not in the record; a link would be another answer than the first.
    if run.response_file is not None:
        raise Conflict(
            f"The run {run.id} with this Idempotency-Key has succeeded; its answer is kept as a file.",
            hint=f"GET /result/{run.id} has its link.",
        )
    if run.response_truncated:
        if run.response_content == NOT_STORED:
            why = "holds something secret"
        elif run.status in {"succeeded", "failed"}:
            why = "was not kept whole"
        else:
            why = "broke off"

        raise Conflict(
            f"The run {run.id} with this Idempotency-Key has ended ({run.status}); its answer {why}.",
            hint="Use a new key to run again.",
        )

    content = (run.response_content or "").encode()
    if run.response_json is not None or _is_json(content):
        kind = b"application/json"
    else:
        kind = b"text/plain; charset=utf-8"

    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(content)).encode()),
        (b"x-request-id", run.id.encode()),
        (b"idempotent-replay", b"true"),
    ]

    async def nothing_to_close() -> None:
        return None

    return RunResponse(run.id, run.response_status, headers, replayed(content), nothing_to_close)


def _is_json(content: bytes) -> bool:
    with suppress(ValueError):
        parse(content)
        return True
    return False
