"""Locks by name among the processes of a PostgreSQL database, until the transaction ends."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, text

_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def lock(connection: Connection, names: Iterable[tuple[str, ...]]) -> None:
    """Wait until no other transaction holds one of these names. SQLite has only one writer, and needs no lock."""
    if connection.dialect.name == "sqlite":
        return
    for key in sorted(map(_number, names)):  # the same order everywhere avoids deadlocks
        connection.execute(_LOCK, {"key": key})


def _number(name: tuple[str, ...]) -> int:
    """A lock's number, 63 bits."""
    # `hash()` differs between processes; the number has to be the same in all of them.
    digest = hashlib.blake2b("\0".join(name).encode(), digest_size=8, person=b"codewords").digest()
    return int.from_bytes(digest, "big") >> 1
