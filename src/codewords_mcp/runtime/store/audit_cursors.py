"""Places in the audit trail up to which entries were sent on, one for each receiver, with the replica that sends now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, insert, select, update

from codewords_mcp.runtime.store import advisory_locks
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.tables import audit_blocks, meta

_PREFIX: Final = "audit_sent_"
"""Of the names in the table `meta`. Values are JSON: `{"seq", "holder", "until", "problem", "failing_since"}`."""
_MAX_PROBLEM: Final = 500


@dataclass(frozen=True, slots=True)
class AuditCursor:
    """`seq` is the place of the last entry that was sent on, `sealed` that of the last one there is.

    `problem` says why the receiver takes nothing, "" while it does; `failing_since` is the time of the first failed try
    since it took something, in µs.
    """

    seq: int
    sealed: int
    problem: str = ""
    failing_since: int | None = None

    @property
    def unsent(self) -> int:
        """The number of entries that wait."""
        return max(0, self.sealed - self.seq)


def read(connection: Connection, receiver: str) -> AuditCursor:
    """The place of a receiver; 0 before the first entry was sent."""
    sealed = connection.execute(select(func.coalesce(func.max(audit_blocks.c.last_seq), 0))).scalar_one()
    stored = _stored(connection, receiver)
    return AuditCursor(
        int(stored.get("seq", 0)), sealed, stored.get("problem", ""), stored.get("failing_since")
    )


def take(connection: Connection, receiver: str, holder: str, lease: float) -> int | None:
    """Become the one that sends, for `lease` seconds. Returns the place; None while another replica sends."""
    # The row may not be there yet, so it cannot be the lock.
    advisory_locks.lock(connection, [("audit_sent", receiver)])
    stored, at = _stored(connection, receiver), clock(connection)
    if stored.get("holder") not in {None, holder} and stored.get("until", 0) > at:
        return None
    _store(connection, receiver, {**stored, "holder": holder, "until": at + int(lease * 1e6)})
    return int(stored.get("seq", 0))


def advance(connection: Connection, receiver: str, holder: str, seq: int) -> bool:
    """Note that the entries up to `seq` were sent. False if another replica sends by now: it sends them again."""
    advisory_locks.lock(connection, [("audit_sent", receiver)])
    stored = _stored(connection, receiver)
    if stored.get("holder") != holder:
        return False
    lasting = {name: stored[name] for name in ("holder", "until")}
    # Never back: a receiver may have been advanced further meanwhile.
    _store(connection, receiver, {**lasting, "seq": max(seq, int(stored.get("seq", 0)))})
    return True


def fail(connection: Connection, receiver: str, holder: str, problem: str) -> None:
    """Note that the receiver did not take what this replica sent."""
    advisory_locks.lock(connection, [("audit_sent", receiver)])
    stored = _stored(connection, receiver)
    if stored.get("holder") == holder:
        since = stored.get("failing_since") or clock(connection)
        _store(connection, receiver, {**stored, "problem": problem[:_MAX_PROBLEM], "failing_since": since})


def _stored(connection: Connection, receiver: str) -> dict[str, Any]:
    value = connection.execute(select(meta.c.value).where(meta.c.name == _PREFIX + receiver)).scalar()
    return {} if value is None else json.loads(value)


def _store(connection: Connection, receiver: str, value: dict[str, Any]) -> None:
    name, text = _PREFIX + receiver, json.dumps(value)
    if not connection.execute(update(meta).where(meta.c.name == name).values(value=text)).rowcount:
        connection.execute(insert(meta).values(name=name, value=text))
