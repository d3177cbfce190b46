"""Events of triggers, in the order in which they came. The key of each is kept, so that it starts one run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, delete, insert, select, text, update

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.model.trigger import EventStatus
from codewords_mcp.runtime.store.tables import trigger_events as events
from codewords_mcp.runtime.store.tables import triggers
from codewords_mcp.runtime.store.tables.triggers import PENDING

MAX_KEY = 200
MAX_KEYS = 20_000
"""Keys of a trigger that are kept. The state of a source remembers what it shows for longer."""
_AT_ONCE = 500
_THINNED_EVERY = 256


class NewEvent(NamedTuple):
    """An event to store. `data` is None where it starts no run."""

    key: str
    data: JsonValue
    at: int | None = None
    status: EventStatus = "pending"
    made_by: JsonObject | None = None
    correlation_id: str | None = None


class EventRow(NamedTuple):
    """A stored event that waits for its run."""

    key: str
    seq: int
    data: JsonValue
    at: int | None
    made_by: JsonObject | None
    correlation_id: str | None


def stored_key(key: str) -> str:
    """A key as it is stored: a digest of one that is long, or has characters that no header can have."""
    if 0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable():
        return key
    return "sha256:" + hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def unknown(connection: Connection, trigger_id: str, found: Sequence[NewEvent]) -> list[NewEvent]:
    """Those whose key is new, each once."""
    by_key: dict[str, NewEvent] = {}
    for event in found:
        by_key.setdefault(event.key, event)

    keys, known = list(by_key), set[str]()
    for begin in range(0, len(keys), _AT_ONCE):
        query = select(events.c.key).where(
            events.c.trigger_id == trigger_id, events.c.key.in_(keys[begin : begin + _AT_ONCE])
        )
        known |= set(connection.execute(query).scalars())
    return [event for event in by_key.values() if event.key not in known]


def add(connection: Connection, trigger_id: str, seq: int, found: Sequence[NewEvent], at: int) -> None:
    """Store events behind number `seq`. Their keys are new."""
    if not found:
        return
    rows: list[dict[str, Any]] = [
        {
            "trigger_id": trigger_id, "key": event.key, "seq": seq + number, "status": event.status,
            "data": event.data if event.status == "pending" else None, "at": event.at, "received_at": at, "run_id": None,
            "made_by": event.made_by, "correlation_id": event.correlation_id,
        }
        for number, event in enumerate(found, 1)
    ]  # fmt: skip
    connection.execute(insert(events), rows)
    last = seq + len(found)
    # Once in so many events: a deletion at each look would mostly find nothing.
    if last // _THINNED_EVERY != seq // _THINNED_EVERY:
        old = (events.c.trigger_id == trigger_id) & (events.c.seq <= last - MAX_KEYS)
        connection.execute(delete(events).where(old, events.c.status != "pending"))


def skip_oldest(connection: Connection, trigger_id: str, count: int) -> None:
    """Skip the oldest events that wait."""
    mine = and_(events.c.trigger_id == trigger_id, text(PENDING))
    # Not every database bounds the rows of an update, so the last one is looked up first.
    oldest = select(events.c.seq).where(mine).order_by(events.c.seq).limit(count)
    last = max(connection.execute(oldest).scalars(), default=None)
    if last is not None:
        skipped = {"status": "skipped", "data": None}
        connection.execute(update(events).where(mine, events.c.seq <= last).values(skipped))


def skip_all(connection: Connection, trigger_id: str) -> int:
    """Skip all events that wait. Returns their number."""
    mine = (events.c.trigger_id == trigger_id) & (events.c.status == "pending")
    return connection.execute(update(events).where(mine).values(status="skipped", data=None)).rowcount


def waiting(connection: Connection, trigger_id: str, limit: int) -> list[EventRow]:
    """The events that wait for their runs, oldest first."""
    columns = [events.c[name] for name in EventRow._fields]
    query = select(*columns).where(events.c.trigger_id == trigger_id, text(PENDING))
    return [EventRow(*row) for row in connection.execute(query.order_by(events.c.seq).limit(limit))]


def started(connection: Connection, trigger_id: str, key: str, run_id: str, at: int) -> bool:
    """Note the run of an event, in the transaction that records it. False if it has one, or was skipped."""
    mine = (events.c.trigger_id == trigger_id) & (events.c.key == key) & (events.c.status == "pending")
    values = {"status": "started", "data": None, "run_id": run_id}
    # Of two processes that start the same event, the one whose update finds it pending has it.
    if connection.execute(update(events).where(mine).values(values)).rowcount != 1:
        return False
    noted = {
        "waiting": triggers.c.waiting - 1,
        "last_event_at": at,
        "last_run_id": run_id,
        "start_failures": 0,
    }
    connection.execute(update(triggers).where(triggers.c.id == trigger_id).values(noted))
    return True


class ListedEvent(NamedTuple):
    """An event in a list."""

    key: str
    status: EventStatus
    at: int | None
    received_at: int
    run_id: str | None


def newest(connection: Connection, trigger_id: str, limit: int) -> list[ListedEvent]:
    """The newest events of a trigger, the last one first."""
    columns = [events.c[name] for name in ListedEvent._fields]
    query = select(*columns).where(events.c.trigger_id == trigger_id).order_by(events.c.seq.desc())
    return [ListedEvent(*row) for row in connection.execute(query.limit(limit))]
