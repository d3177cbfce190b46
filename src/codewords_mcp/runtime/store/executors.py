"""Live processes, by the database's own clock: clocks of machines differ."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    delete,
    insert,
    literal,
    literal_column,
    select,
    update,
)

from codewords_mcp.runtime.model.run_state import UNFINISHED
from codewords_mcp.runtime.store import alert_causes
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import executors, runs

# Not `now()`, which stands still within a transaction.
_CLOCK: ColumnElement[int] = literal_column(
    "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)", BigInteger
)


def clock(connection: Connection) -> int:
    """The database's time in µs."""
    if connection.dialect.name == "sqlite":
        return now()
    return connection.execute(select(_CLOCK)).scalar_one()


def _clock(connection: Connection) -> ColumnElement[int]:
    """The database's time as part of a statement, which spares a round trip."""
    if connection.dialect.name == "sqlite":
        return literal(now(), BigInteger)
    return _CLOCK


def seen(connection: Connection, executor: str, version: str) -> None:
    """This executor lives."""
    at = _clock(connection)
    if not connection.execute(
        update(executors).where(executors.c.id == executor).values(seen_at=at)
    ).rowcount:
        values = {"id": executor, "version": version, "started_at": at, "seen_at": at}
        connection.execute(insert(executors).values(values))


def alive(connection: Connection, ttl: float) -> set[str]:
    """Return the executors seen within the last `ttl` seconds."""
    since = _clock(connection) - int(ttl * 1e6)
    return set(connection.execute(select(executors.c.id).where(executors.c.seen_at >= since)).scalars())


def forget_dead(connection: Connection, ttl: float) -> None:
    """Forget those that have not been seen for long."""
    dead = executors.c.seen_at < _clock(connection) - int(ttl * 1e6)
    for executor in connection.execute(delete(executors).where(dead).returning(executors.c.id)).scalars():
        # One that ends in order leaves by itself.
        alert_causes.note(connection, f"lost {executor}", "runtime_restarted", {})


def leave(connection: Connection, executor: str) -> None:
    """This executor ends in order."""
    connection.execute(delete(executors).where(executors.c.id == executor))


def holders(connection: Connection) -> set[str]:
    """Return the executors of runs that have not ended."""
    query = select(runs.c.executor).where(runs.c.status.in_(UNFINISHED), runs.c.executor.is_not(None))
    return set(connection.execute(query.distinct()).scalars())


def runs_of(connection: Connection, executor: str) -> dict[str, bool]:
    """Return the unfinished runs of this executor, each with whether its cancellation is requested."""
    query = select(runs.c.id, runs.c.cancel_asked).where(
        runs.c.status.in_(UNFINISHED), runs.c.executor == executor
    )
    return {row.id: row.cancel_asked for row in connection.execute(query)}


def request_cancel(connection: Connection, run_id: str) -> bool:
    """Request the cancellation of a run from its executor; False if the run has ended."""
    request = update(runs).where(runs.c.id == run_id, runs.c.status.in_(UNFINISHED)).values(cancel_asked=True)
    return connection.execute(request).rowcount == 1
