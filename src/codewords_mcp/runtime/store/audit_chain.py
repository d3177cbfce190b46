"""The chain that seals the audit trail.

Entries are written without a place. A sealer gives those that are committed the next places, and writes a block: the
digest of each of them, and a hash over these digests and the hash of the block before. One sealer works at a time among
all replicas, so that appending needs no lock and the chain can't fork.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from codewords_mcp.runtime.model.audit import AuditProblem
from codewords_mcp.runtime.model.caller import HOME_OWNER
from codewords_mcp.runtime.store import advisory_locks
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.tables import audit_blocks as blocks
from codewords_mcp.runtime.store.tables import audit_entries as entries

MAX_BLOCK: Final = 2000
"""Entries of one block."""
LEAF: Final = 32
"""Bytes of an entry's digest."""
GENESIS: Final = "0" * 64
"""Stands for the hash of the block before the first."""
PRUNED: Final = "audit.prune"
"""The action of the entry with which retention says what it removed."""
_DIGESTED = tuple(column for column in entries.columns if column.name != "seq")
_UNSEALED = (
    select(entries.c.id).where(entries.c.seq.is_(None)).order_by(entries.c.id).limit(MAX_BLOCK).subquery()
)
_BASE = select(func.coalesce(func.max(blocks.c.last_seq), 0)).scalar_subquery()
_PLACED = select(
    _UNSEALED.c.id, (_BASE + func.row_number().over(order_by=_UNSEALED.c.id)).label("place")
).subquery()
_PLACE = (
    update(entries)
    .where(entries.c.id == _PLACED.c.id)
    .values(seq=_PLACED.c.place)
    .returning(entries.c.seq, *_DIGESTED)
)
_ENCODE: Final = json.JSONEncoder(separators=(",", ":")).encode
_AT_ONCE = 5000
"""Entries that retention removes in one transaction."""


@dataclass(frozen=True, slots=True)
class AuditBlock:
    """A block. `leaves` is None where retention removed its entries."""

    number: int
    first_seq: int
    last_seq: int
    sealed_at: int
    leaves: bytes | None
    previous: str
    hash: str


def seal(connection: Connection) -> int:
    """Seal entries that no block seals yet, at most those of one block. Returns their number."""
    # Two sealers would give the same places. SQLite has one writer at a time.
    advisory_locks.lock(connection, [("audit",)])
    if connection.execute(select(entries.c.id).where(entries.c.seq.is_(None)).limit(1)).first() is None:
        return 0

    # One statement chooses, places and returns: between two, another transaction may commit an entry. In SQLite it also
    # takes the lock of writers, so that the last block is read behind it.
    placed = sorted(tuple(row) for row in connection.execute(_PLACE))
    if not placed:
        return 0

    before = last_block(connection)
    block = {
        "number": 1 if before is None else before.number + 1,
        "first_seq": placed[0][0],
        "last_seq": placed[-1][0],
        "sealed_at": now(),
        "leaves": b"".join(_digest(row[1:]) for row in placed),
        "previous": GENESIS if before is None else before.hash,
    }
    connection.execute(insert(blocks).values(block | {"hash": _hash(block)}))
    return len(placed)


def last_block(connection: Connection) -> AuditBlock | None:
    """The newest block; None before the first."""
    return first_row(connection, select(blocks).order_by(blocks.c.number.desc()).limit(1), AuditBlock)


def blocks_after(connection: Connection, number: int, limit: int) -> list[AuditBlock]:
    """The blocks after this one, in order."""
    query = select(blocks).where(blocks.c.number > number).order_by(blocks.c.number).limit(limit)
    return [AuditBlock(**row) for row in connection.execute(query).mappings()]


def unsealed_count(connection: Connection) -> int:
    """The number of entries that no block seals yet."""
    return connection.execute(select(func.count()).where(entries.c.seq.is_(None))).scalar_one()


def check_link(block: AuditBlock, before: AuditBlock | None) -> Iterator[AuditProblem]:
    """Find what is wrong with a block and its place after the one before, without its entries."""
    if before is None:
        number, first, previous = 1, 1, GENESIS
    else:
        number, first, previous = before.number + 1, before.last_seq + 1, before.hash

    # What was removed by retention leaves its last block, whose hash the next one continues.
    if block.leaves is None and before is None:
        return
    if block.number != number or block.first_seq != first or block.previous != previous:
        yield AuditProblem(
            kind="chain_broken",
            block=block.number,
            message=f"Block {block.number} does not continue the one before it: blocks were removed, inserted or replaced.",
        )
    fields = {name: getattr(block, name) for name in AuditBlock.__slots__ if name != "hash"}
    if block.leaves is None or _hash(fields) != block.hash or len(block.leaves) != LEAF * _size(block):
        yield AuditProblem(
            kind="block_changed",
            block=block.number,
            message=f"Block {block.number} was changed after it was sealed: it does not have the hash that it says.",
        )


def check_entries(connection: Connection, block: AuditBlock) -> Iterator[AuditProblem]:
    """Find entries of a block that were changed or removed."""
    if block.leaves is None:
        return
    query = select(entries.c.seq, *_DIGESTED).where(entries.c.seq.between(block.first_seq, block.last_seq))
    found = {row[0]: _digest(tuple(row)[1:]) for row in connection.execute(query)}

    for place in range(_size(block)):
        seq = block.first_seq + place
        leaf = block.leaves[place * LEAF : (place + 1) * LEAF]
        digest = found.get(seq)
        if digest is None:
            yield AuditProblem(
                kind="missing", block=block.number, seq=seq, message=f"Entry {seq} was removed."
            )
        elif digest != leaf:
            yield AuditProblem(
                kind="changed",
                block=block.number,
                seq=seq,
                message=f"Entry {seq} was changed, or another one was put in its place.",
            )


def find_inserted(connection: Connection, first_seq: int, last_seq: int, limit: int) -> list[AuditProblem]:
    """Find entries that have a place which no block seals."""
    outside = (entries.c.seq < first_seq) | (entries.c.seq > last_seq)
    query = select(entries.c.seq).where(outside).order_by(entries.c.seq).limit(limit)
    return [
        AuditProblem(kind="inserted", seq=seq, message=f"Entry {seq} was inserted: no block seals it.")
        for seq in connection.execute(query).scalars()
    ]


def prune(connection: Connection, before: int) -> bool:
    """Remove the oldest blocks that were sealed before this time, with their entries. Whether there may be more.

    The row of the last removed block stays, without its digests: its hash is where the chain goes on. An entry says what
    was removed. The newest block always stays.
    """
    advisory_locks.lock(connection, [("audit",)])
    newest = last_block(connection)
    whole = select(blocks).where(blocks.c.leaves.is_not(None)).order_by(blocks.c.number)
    oldest = connection.execute(whole.limit(1)).mappings().first()
    if newest is None or oldest is None:
        return False

    near = (blocks.c.last_seq < oldest["first_seq"] + _AT_ONCE) | (blocks.c.number == oldest["number"])
    expired = whole.where(blocks.c.sealed_at < before, blocks.c.number < newest.number, near)
    row = (
        connection.execute(expired.order_by(None).order_by(blocks.c.number.desc()).limit(1))
        .mappings()
        .first()
    )
    if row is None:
        return False

    block = AuditBlock(**row)
    # Entries first: a block without entries is known as removed, entries without one as inserted.
    connection.execute(delete(entries).where(entries.c.seq <= block.last_seq))
    connection.execute(delete(blocks).where(blocks.c.number < block.number))
    connection.execute(update(blocks).where(blocks.c.number == block.number).values(leaves=None))
    _note_pruned(connection, block)
    return True


def _note_pruned(connection: Connection, block: AuditBlock) -> None:
    after = {"after": {"seq": block.last_seq, "block": block.number, "hash": block.hash}}
    row: dict[str, Any] = {column.name: "" for column in entries.columns if column.name not in {"id", "seq"}}
    row |= {
        "at": now(), "owner": HOME_OWNER, "action": PRUNED, "target": str(block.last_seq), "outcome": "done",
        "front_door": "runtime", "detail": json.dumps(after, separators=(",", ":")),
    }  # fmt: skip
    connection.execute(insert(entries), row)


def pruning_is_recorded(connection: Connection, block: AuditBlock) -> bool:
    """Whether an entry says that retention removed the entries up to this block."""
    query = select(entries.c.detail).where(
        entries.c.action == PRUNED, entries.c.target == str(block.last_seq)
    )
    return any(block.hash in detail for detail in connection.execute(query).scalars())


def _size(block: AuditBlock) -> int:
    return block.last_seq - block.first_seq + 1


def _digest(values: tuple[Any, ...]) -> bytes:
    """The digest of an entry, over all of its columns but its place."""
    return hashlib.sha256(_ENCODE(values).encode()).digest()


def _hash(block: dict[str, Any]) -> str:
    """The hash of a block."""
    leaves = hashlib.sha256(block["leaves"]).hexdigest()
    names = ("number", "first_seq", "last_seq", "sealed_at", "previous")
    fields = [block[name] for name in names]
    return hashlib.sha256(json.dumps([*fields, leaves], separators=(",", ":")).encode()).hexdigest()
