"""Routes about runs: provision, result, record, log, cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import datetime

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import InvalidInput, RunPending
from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.http.bodies import query_flag, query_int, query_wait
from codewords_mcp.http.operations import HttpOperation, Parameter, whole_number
from codewords_mcp.http.progress import watched
from codewords_mcp.http.responses import NDJSON, SSE, JsonReply, LineStream, line
from codewords_mcp.http.state import app_state, caller, runtime
from codewords_mcp.http.wire_format import log_record, result_record, run_record
from codewords_mcp.mcp_server.next_step import NextStep, next_step, secret_needed
from codewords_mcp.mcp_server.run_result import DiagnosisResult, diagnosis_result
from codewords_mcp.runtime.api.traces import DEFAULT_DEPTH, DEFAULT_LINES, MAX_DEPTH, MAX_LINES
from codewords_mcp.runtime.model.authoring import refusals
from codewords_mcp.runtime.model.log_batch import LogBatch
from codewords_mcp.runtime.model.log_text import (
    LEVELS,
    Line,
    Tracing,
    is_at_least,
    is_stamp,
    levelled,
    tracing_after,
)
from codewords_mcp.runtime.model.run import FINISHED
from codewords_mcp.runtime.model.trace import RunTrace

_PIECE = 32 << 10
MAX_TAIL = 10_000
RECORD = {"$ref": "#/components/schemas/RequestRecord"}
_DEPTH = Parameter(
    "depth",
    f"Calls that are followed, at most {MAX_DEPTH}.",
    whole_number(0, MAX_DEPTH, default=DEFAULT_DEPTH),
)
_LOG_LINES = Parameter(
    "log_lines", f"Last lines, at most {MAX_LINES}.", whole_number(0, MAX_LINES, default=DEFAULT_LINES)
)


async def provision(request: Request) -> Response:
    """A run id whose log can be followed before the run starts."""
    run_id = await runtime(request.scope).runs.provision(caller(request.scope))
    return JsonReply({"request_id": run_id}, headers={"X-Request-Id": run_id})


async def result(request: Request) -> Response:
    """The record once the run has ended; 504 while it has not, since the public clients retry only that."""
    scope, run_id = request.scope, _run_id(request)
    settings = app_state(scope).settings
    seconds = query_wait(request, usual=settings.sync_timeout, most=settings.run_timeout)
    # A wait may take an hour: it ends with its client.
    run = await watched(request, runtime(scope).runs.get(caller(scope), run_id, wait=seconds))
    if run.status not in FINISHED:
        raise RunPending(
            f"The run has not ended yet: it is {run.status}.", hint="Ask again, with a longer timeout."
        )
    return JsonReply(result_record(run), headers={"X-Request-Id": run.id})


async def record(request: Request) -> Response:
    """The record as it is."""
    run = await runtime(request.scope).runs.get(caller(request.scope), _run_id(request))
    return JsonReply(run_record(run), headers={"X-Request-Id": run.id})


async def cancel(request: Request) -> Response:
    """Cancel; the sandbox is gone when this answers."""
    run = await runtime(request.scope).runs.cancel(caller(request.scope), _run_id(request))
    return JsonReply(run_record(run), headers={"X-Request-Id": run.id})


class RunDiagnosis(BaseModel):
    """Why a run did not succeed, None of one that did; what to do next, the `secret` that is to be set, and why connections
    were refused. `remedy` is the diagnosis' `fix` as data.
    """

    diagnosis: DiagnosisResult | None = None
    next_step: NextStep | None = None
    remedy: Remedy | None = None
    secret: str | None = None
    refused: list[str] = []


async def diagnosis(request: Request) -> Response:
    """Diagnose a run that failed, as `get_run` does."""
    scope = request.scope
    run = await runtime(scope).runs.get(caller(scope), _run_id(request))
    why = await runtime(scope).authoring.diagnose(caller(scope), run)

    return JsonReply(
        RunDiagnosis(
            diagnosis=diagnosis_result(why),
            next_step=next_step(run, why),
            remedy=why and why.remedy,
            secret=secret_needed(run, why),
            refused=refusals(run),
        )
    )


async def trace(request: Request) -> Response:
    """The timeline of a run."""
    found = await runtime(request.scope).traces.get(
        caller(request.scope),
        _run_id(request),
        depth=_number(request, "depth", high=MAX_DEPTH, usual=DEFAULT_DEPTH),
        log_lines=_number(request, "log_lines", high=MAX_LINES, usual=DEFAULT_LINES),
    )
    return JsonReply(found.model_dump(exclude_none=True), headers={"X-Request-Id": found.run_id})


def _number(request: Request, name: str, *, high: int, usual: int) -> int:
    value = query_int(request, name, low=0, high=high)
    if value is None:
        return usual
    return value


async def logs(request: Request) -> Response:
    """The log as NDJSON, whatever `Accept` says: the public clients ask for SSE and parse lines."""
    scope, run_id = request.scope, _run_id(request)
    form = request.query_params.get("format", "ndjson")
    if form not in _FORMS:
        raise InvalidInput("`format` must be ndjson or sse.")

    # A browser's EventSource reconnects with this header.
    after = request.query_params.get("after") or request.headers.get("last-event-id")
    if after and not _is_time(after):
        raise InvalidInput(
            "`after` must be a `createdAt` of the log.",
            hint="Send it as the line had it: 2026-12-24T18:00:00.000000Z.",
        )

    follow = query_flag(request, "follow", default=True)
    level = request.query_params.get("level", LEVELS[0])
    if level not in LEVELS:
        raise InvalidInput(f"`level` must be one of {', '.join(LEVELS)}.")

    await runtime(scope).runs.get(caller(scope), run_id)  # an unknown id is told before the stream starts
    batches = _batches(request, after=after or None, follow=follow)
    media, write, heartbeat, end = _FORMS[form]

    return LineStream(_written(batches, level, write, heartbeat, end), media)


def _batches(request: Request, *, after: str | None, follow: bool) -> AsyncIterator[LogBatch | None]:
    """The lines that are asked for: all, those after a time, or the last ones. Raises InvalidInput."""
    scope, run_id, before = request.scope, _run_id(request), request.query_params.get("before")
    tail = query_int(request, "tail", low=1, high=MAX_TAIL)
    if tail is None and before is None:
        return runtime(scope).logs.batches(caller(scope), run_id, after=after, follow=follow)
    if after is not None:
        raise InvalidInput("`after` begins at a time, `tail` and `before` at the end.", hint="Leave one out.")
    if before is not None and not is_stamp(before):
        raise InvalidInput("`before` must be a `createdAt` of the log.", hint="Send it as the line had it.")
    return runtime(scope).logs.from_end(
        caller(scope), run_id, limit=tail or MAX_TAIL, before=before, follow=follow
    )


def _is_time(text: str) -> bool:
    with suppress(ValueError):
        return bool(datetime.fromisoformat(text))
    return False


async def _written(
    batches: AsyncIterator[LogBatch | None],
    level: str,
    write: Callable[[Line, str | None], bytes],
    heartbeat: bytes,
    end: bytes,
) -> AsyncIterator[bytes]:
    tracing: Tracing = frozenset()

    def pieces(lines: list[Line]) -> list[bytes]:
        selected = [
            (entry, entry_level)
            for entry, entry_level in levelled(lines, tracing)
            if is_at_least(entry_level, level)
        ]
        return _joined(write(entry, entry_level) for entry, entry_level in selected)

    async for batch in batches:
        if batch is None:
            yield heartbeat
            continue
        # What is made for one follower is right for all that were at the same place.
        for piece in batch.encoded(f"{write.__name__} {level} {','.join(sorted(tracing))}", pieces):
            yield piece
        tracing = tracing_after(batch.lines, tracing)

    if end:
        yield end


def _ndjson(entry: Line, level: str | None) -> bytes:
    return line(log_record(entry, level))


def _sse(entry: Line, level: str | None) -> bytes:
    return b"id: " + entry[0].encode() + b"\ndata: " + line(log_record(entry, level)) + b"\n"


_FORMS = {
    "ndjson": (NDJSON, _ndjson, b"\n", b""),
    # A comment as heartbeat: browsers pass over it, and proxies see that the connection lives.
    "sse": (SSE, _sse, b": still here\n\n", b"event: end\ndata: {}\n\n"),
}
"""Media type, how a line is written, what is sent to say that the run goes on, and at the end."""


def _joined(entries: Iterable[bytes]) -> list[bytes]:
    """Join whole entries into pieces of about `_PIECE` bytes.

    A piece for each entry costs more than writing it. One piece for all stays in memory for each slow follower.
    """
    pieces: list[bytes] = []
    gathered: list[bytes] = []
    size = 0

    for entry in entries:
        gathered.append(entry)
        size += len(entry)
        if size >= _PIECE:
            pieces.append(b"".join(gathered))
            gathered, size = [], 0

    if gathered:
        return [*pieces, b"".join(gathered)]

    return pieces


def _run_id(request: Request) -> str:
    return str(request.path_params["run_id"])


OPERATIONS = [
    HttpOperation(
        "POST", "/provision-request", "Get a run id before the run", provision, tag="runs",
        description="Its log can be followed at once; pass it as `X-Provisioned-Request-Id`.",
        reply={"type": "object", "properties": {"request_id": {"type": "string"}}, "required": ["request_id"]},
    ),
    HttpOperation(
        "GET", "/result/{run_id}", "Wait for the result of a run", result, tag="runs", reply=RECORD,
        description="200 with the record also for a failed run, plus the keys of an object `responseJson` that do not "
        "collide with it. 504 with the code `run_pending` while the run goes on.",
        parameters=(Parameter("timeout", "Seconds; over 1000: milliseconds. Else CODEWORDS_SYNC_TIMEOUT.", {"type": "number"}),),
    ),
    HttpOperation("GET", "/request/{run_id}", "The record of a run", record, tag="runs", reply=RECORD),
    HttpOperation(
        "GET", "/logs/{run_id}", "Follow the log of a run", logs, tag="runs", media=NDJSON, other_media=("text/event-stream",),
        description="One JSON object a line, live; an empty line about every 5 s says that the run goes on.",
        parameters=(
            Parameter("after", "Only lines later than this `createdAt`.", {"type": "string"}),
            Parameter("tail", f"Begin with the last so many lines, at most {MAX_TAIL:,}.", whole_number(1, MAX_TAIL)),
            Parameter("before", "Only the last lines that are older than this `createdAt`.", {"type": "string"}),
            Parameter("level", "Only lines of this level and above.", {"type": "string", "enum": list(LEVELS)}),
            Parameter("format", "`sse` for server-sent events.", {"type": "string", "enum": ["ndjson", "sse"]}),
            Parameter("follow", "0 ends with the last stored line.", {"type": "integer", "enum": [0, 1], "default": 1}),
        ),
        reply={
            "type": "object",
            "properties": {
                "createdAt": {"type": "string"}, "message": {"type": "string"},
                "stream": {"type": "string", "enum": ["stdout", "stderr", "platform"]},
                "level": {"type": ["string", "null"], "enum": [*LEVELS, None]},
                "fields": {"type": "object"},
            },
        },
    ),
    HttpOperation(
        "GET", "/runs/{run_id}/diagnosis", "Say why a run failed", diagnosis, tag="runs", reply=RunDiagnosis,
        description="Step, error, the workflow's own lines with the code around them, input, what changed since it last "
        "worked, the likely fix, and what to do next. `diagnosis` is null for a run that did not fail.",
    ),
    HttpOperation(
        "GET", "/runs/{run_id}/trace", "The timeline of a run", trace, tag="runs", reply=RunTrace,
        description="Queue, sandbox, readiness, steps, each request with its duration, status, bytes and outcome, model calls "
        "with tokens and cost, the runs that it started, and log lines. Also of a run that goes on. Fields without a value "
        "are left out.",
        parameters=(
            _DEPTH, _LOG_LINES,
        ),
    ),
    HttpOperation("POST", "/runs/{run_id}/cancel", "Cancel a run", cancel, tag="runs", reply=RECORD),
]  # fmt: skip
