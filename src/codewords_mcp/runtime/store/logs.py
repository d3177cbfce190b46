"""Log lines, in chunks: a row holds several lines as JSON lines `[created_at, stream, message]`."""

from __future__ import annotations

import json

from sqlalchemy import Connection, insert, select

from codewords_mcp.runtime.models import LogLine
from codewords_mcp.runtime.store.tables import log_chunks

_INSERT = insert(log_chunks)
Line = tuple[str, str, str]
"""created_at, stream, message: a line on its way in, where a model would cost more than the writing."""


def append(connection: Connection, run_id: str, first_seq: int, lines: list[Line]) -> None:
    """One chunk; `first_seq` counts lines of the run from 0, those that could not be stored as well."""
    body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    connection.execute(_INSERT, {"run_id": run_id, "first_seq": first_seq, "lines": len(lines), "body": body})


def read(
    connection: Connection, run_id: str, *, from_seq: int = 0, limit_chunks: int = 200
) -> tuple[list[LogLine], int]:
    """Lines from `from_seq` on, at most so many chunks of them, and the next seq."""
    query = (
        select(log_chunks)
        .where(log_chunks.c.run_id == run_id, log_chunks.c.first_seq + log_chunks.c.lines > from_seq)
        .order_by(log_chunks.c.first_seq)
        .limit(limit_chunks)
    )
    lines: list[LogLine] = []
    for row in connection.execute(query).mappings():
        skip = max(0, from_seq - row["first_seq"])
        lines += _parse(row["body"])[skip:]
        from_seq = row["first_seq"] + row["lines"]
    return lines, from_seq


def last(connection: Connection, run_id: str, limit: int) -> list[LogLine]:
    """The last lines, in order."""
    query = (
        select(log_chunks.c.body).where(log_chunks.c.run_id == run_id).order_by(log_chunks.c.first_seq.desc())
    )
    lines: list[LogLine] = []
    for body in connection.execute(query).scalars():
        lines = _parse(body) + lines
        if len(lines) >= limit:
            break
    return lines[-limit:] if limit else []


def end_of(connection: Connection, run_id: str) -> tuple[int, str | None]:
    """(the next seq, the time of the last line) of a log that is gone on with."""
    query = select(log_chunks).where(log_chunks.c.run_id == run_id).order_by(log_chunks.c.first_seq.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    if row is None:
        return 0, None
    return row["first_seq"] + row["lines"], _parse(row["body"])[-1].created_at


def _parse(body: str) -> list[LogLine]:
    # split on the separator only: a message may hold other characters that splitlines() would cut at
    return [LogLine(created_at=c, stream=s, message=m) for c, s, m in map(json.loads, body.split("\n"))]
