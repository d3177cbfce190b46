"""The request of a background run, on its way into the store and out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import AttemptEntry
from codewords_mcp.runtime.runs.ancestry import RunAncestry
from codewords_mcp.runtime.runs.request_headers import AUTH
from codewords_mcp.runtime.store import logs, requests


@dataclass(slots=True)
class Work:
    """A request that can be read again, and how often it may be tried."""

    request: RunRequest
    body: bytes
    ancestry: RunAncestry
    retries: int
    attempts: list[AttemptEntry] = field(default_factory=list[AttemptEntry])
    next_seq: int = 0
    last_line: str | None = None
    not_before: float = 0.0
    """Seconds since 1970."""
    unwanted: bool = False
    """Somebody asked to cancel it before this process had it."""


async def replayed(data: bytes) -> AsyncIterator[bytes]:
    """A body that is here already."""
    yield data


def stored(request: RunRequest, run_id: str, body: bytes) -> requests.StoredRequest:
    """The request as it is stored, without its credentials."""
    headers = [
        # Latin-1 has a character for each byte, so that JSON can hold any header.
        [name.decode("latin-1"), value.decode("latin-1")]
        for name, value in request.headers
        if name not in AUTH
    ]
    return requests.StoredRequest(
        run_id,
        request.method,
        request.path,
        request.query,
        headers,
        body,
        request.timeout,
        request.caller.kind,
    )


def load(connection: Connection, run_id: str) -> Work | None:
    """The rest of the work of a run; None if there is none."""
    run = requests.load(connection, run_id)
    if run is None:
        return None

    next_seq, last_line = logs.end_of(connection, run_id)
    return Work(
        _request(run),
        run.request.body,
        RunAncestry(run.depth, run.correlation_id),
        run.retries,
        run.attempts,
        next_seq,
        last_line,
        not_before=(run.not_before or 0) / 1e6,
        unwanted=run.cancel_requested,
    )


def _request(run: requests.RequestedRun) -> RunRequest:
    stored_request = run.request
    return RunRequest(
        run.service_id,
        stored_request.method,
        stored_request.path,
        stored_request.query,
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stored_request.headers],
        replayed(stored_request.body),
        Caller(run.owner, stored_request.caller_kind, key_id=run.key_id, run_id=run.parent_id),
        correlation_id=run.correlation_id,
        background=True,
        timeout=stored_request.timeout,
        priority=run.priority,
        schedule_id=run.schedule_id,
        made_by=MadeBy.from_json(run.made_by),
        mode=run.mode,
        mode_of=run.mode_of,
        trace_parent=run.trace_parent,
    )
