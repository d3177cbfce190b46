"""Log lines, in chunks: a row holds several lines as JSON lines `[created_at, stream, message]`."""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import cast

from sqlalchemy import Connection, func, insert, select

from codewords_mcp.runtime.model.log_text import Line, is_stamp
from codewords_mcp.runtime.model.run import LogLine
from codewords_mcp.runtime.store.prepared import Prepared
from codewords_mcp.runtime.store.tables import log_chunks

_INSERT = Prepared(insert(log_chunks))
Chunk = tuple[str, int, list[Line]]
"""Run id, seq of the first line, at least one line.

`seq` counts the run's lines from 0, including lines that could not be stored.
"""
_WIDTH = len("2026-01-31T09:30:00.000250Z")
_begins = func.substr(log_chunks.c.body, len('["') + 1, _WIDTH)
"""The time of a chunk's first line."""


def append(connection: Connection, chunks: list[Chunk]) -> None:
    """A row for each chunk."""
    _INSERT.execute_all(
        connection,
        [
            {"run_id": run_id, "first_seq": first_seq, "lines": len(lines), "body": _body(lines)}
            for run_id, first_seq, lines in chunks
        ],
    )


def read(
    connection: Connection, run_id: str, *, from_seq: int = 0, limit_chunks: int = 200
) -> tuple[list[Line], int, bool]:
    """Read lines from `from_seq` on, of at most `limit_chunks` chunks.

    Returns them with the next seq, and whether there may be more.
    """
    chunk = log_chunks.c
    # Starts at the index entry of the line: followers of a long log ask for its end repeatedly.
    holds_it = (
        select(func.max(chunk.first_seq))
        .where(chunk.run_id == run_id, chunk.first_seq <= from_seq)
        .scalar_subquery()
    )
    query = (
        select(chunk.first_seq, chunk.lines, chunk.body)
        .where(chunk.run_id == run_id, chunk.first_seq >= func.coalesce(holds_it, 0))
        .order_by(chunk.first_seq)
        .limit(limit_chunks)
    )
    lines: list[Line] = []
    rows = connection.execute(query).all()

    for first_seq, count, body in rows:
        if first_seq + count > from_seq:
            lines += _parse(body)[max(0, from_seq - first_seq) :]
            from_seq = first_seq + count

    return lines, from_seq, len(rows) == limit_chunks


def seq_at(connection: Connection, run_id: str, stamp: str) -> int:
    """Return a seq from which on all later lines are after this time, and few before it.

    0 if the stamp is not in the log's format.
    """
    if not is_stamp(stamp):
        return 0

    chunk = log_chunks.c
    query = (
        select(chunk.first_seq)
        .where(chunk.run_id == run_id, _begins <= stamp)
        .order_by(chunk.first_seq.desc())
        .limit(1)
    )

    return connection.execute(query).scalar() or 0


def last(connection: Connection, run_id: str, limit: int) -> list[LogLine]:
    """The last lines, in order."""
    return [log_line(line) for line in tail(connection, run_id, limit)]


def tail(connection: Connection, run_id: str, limit: int, before: str | None = None) -> list[Line]:
    """The last lines, in order; of those before this time."""
    if not limit:
        return []

    query = (
        select(log_chunks.c.body).where(log_chunks.c.run_id == run_id).order_by(log_chunks.c.first_seq.desc())
    )
    if before is not None:
        query = query.where(_begins < before)
    pieces: list[list[Line]] = []
    found = 0
    # A chunk has a line or more: no more chunks than lines are needed. The one in which the time lies may be without any.
    for body in connection.execute(query.limit(limit + 1)).scalars():
        lines = _parse(body)
        if before is not None:
            lines = [line for line in lines if line[0] < before]
        pieces.append(lines)
        found += len(lines)
        if found >= limit:
            break

    return [line for piece in reversed(pieces) for line in piece][-limit:]


def end_of(connection: Connection, run_id: str) -> tuple[int, str | None]:
    """Return (the next seq, the time of the last line) of a log that is continued."""
    query = select(log_chunks).where(log_chunks.c.run_id == run_id).order_by(log_chunks.c.first_seq.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    if row is None:
        return 0, None
    return row["first_seq"] + row["lines"], _parse(row["body"])[-1][0]


def log_line(line: Line) -> LogLine:
    """As a model."""
    created_at, stream, message = line
    return LogLine.model_validate({"created_at": created_at, "stream": stream, "message": message})


def _body(lines: list[Line]) -> str:
    # The same text as `json.dumps` makes. Floods consist of these; times and streams need no
    # escaping.
    return "\n".join([f'["{at}", "{stream}", {encode_basestring(message)}]' for at, stream, message in lines])


def _parse(body: str) -> list[Line]:
    # Newlines in messages are escaped, so each newline separates two lines. One call is the
    # fastest.
    return cast("list[Line]", json.loads("[" + body.replace("\n", ",") + "]"))
