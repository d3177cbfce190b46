"""The request of a background run, on its way into the store and out of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping

from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.runs.request_headers import AUTH
from codewords_mcp.runtime.store import logs, recovery, requests


@dataclass(slots=True)
class Work:
    """A request that can be read again, and how often it may be tried."""

    request: RunRequest
    body: bytes
    correlation_id: str
    depth: int
    retries: int
    attempts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    next_seq: int = 0
    last_line: str | None = None
    not_before: float = 0.0
    """Seconds since 1970."""
    unwanted: bool = False
    """Somebody asked to cancel it before this process had it."""


async def replayed(data: bytes) -> AsyncIterator[bytes]:
    """A body that is here already."""
    yield data


def stored(request: RunRequest, run_id: str, body: bytes) -> dict[str, Any]:
    """The columns of what was asked, without its credentials."""
    return {
        "run_id": run_id,
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": [
            [name.decode("latin-1"), value.decode("latin-1")]
            for name, value in request.headers
            if name not in AUTH
        ],
        "body": body,
        "timeout": request.timeout,
        "caller_kind": request.caller.kind,
    }


def take(connection: Connection, run_id: str, executor: str) -> Work | None:
    """Hold the run, and what it was asked; None where it is not to be had."""
    if recovery.claim(connection, run_id, executor):
        return load(connection, run_id)
    return None


def load(connection: Connection, run_id: str) -> Work | None:
    """The rest of the work of a run; None if there is none."""
    row = requests.load(connection, run_id)
    if row is None:
        return None
    next_seq, last_line = logs.end_of(connection, run_id)
    return Work(
        _request(row), row["body"], row["correlation_id"], row["depth"], row["retries"], row["attempts"],
        next_seq, last_line, (row["not_before"] or 0) / 1e6, row["cancel_asked"],
    )  # fmt: skip


def _request(row: RowMapping) -> RunRequest:
    return RunRequest(
        row["service_id"],
        row["method"],
        row["path"],
        row["query"],
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in row["headers"]],
        replayed(row["body"]),
        Caller(row["owner"], row["caller_kind"], key_id=row["key_id"], run_id=row["parent_id"]),
        correlation_id=row["correlation_id"],
        background=True,
        timeout=row["timeout"],
        priority=row["priority"],
        schedule_id=row["schedule_id"],
        made_by=MadeBy.from_json(row["made_by"]),
    )
