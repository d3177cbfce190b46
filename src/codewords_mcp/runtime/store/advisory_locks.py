"""Locks by name among the processes of a PostgreSQL database, until the transaction ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, text

_LOCK = text(
    "SELECT pg_advisory_xact_lock(key) FROM (SELECT key FROM unnest(CAST(:keys AS bigint[])) AS key ORDER BY key) AS ordered"
)


def lock(connection: Connection, names: Iterable[tuple[str, ...]]) -> None:
    """Wait until no other transaction holds one of these names. SQLite has only one writer, and needs no lock."""
    keys = sorted(map(_number, names))
    if connection.dialect.name == "sqlite" or not keys:
        return
    # All in one statement, in the same order everywhere, which avoids deadlocks.
    connection.execute(_LOCK, {"keys": keys})


def _number(name: tuple[str, ...]) -> int:
    """A lock's number, 63 bits."""
    # `hash()` differs between processes; the number has to be the same in all of them.
    digest = hashlib.blake2b("\0".join(name).encode(), digest_size=8, person=b"codewords").digest()
    return int.from_bytes(digest, "big") >> 1
