"""Rows of recordings: sealed values, with what is needed to list and to choose them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, select, update

from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.tables import (
    recorded_bodies,
    recording_bodies,
    recordings,
    unread_hosts,
    workflows,
)

AT_ONCE = 200
"""Recordings that are removed in one transaction at the most."""


class UnreadHostRow(TypedDict):
    """A host whose content is not read for a version of a workflow. `why` completes "not recorded: …"."""

    service_id: str
    version: int
    live: bool
    host: str
    why: str


class RecordingRow(TypedDict):
    """A recording. `bytes`: all that is stored of it, without bodies that it shares with others before it."""

    run_id: str
    owner: str
    service_id: str
    version: int
    created_at: int
    status: str
    mode: str | None
    shape: str
    bytes: int
    exchanges: int
    obstacle: str
    pinned: bool
    imported: bool
    sealed: bytes


# Contents are megabytes, and lists need none of them.
_INFO = [column for column in recordings.c if column.name != "sealed"]


# Built once: building a statement costs more than running it.
_INSERT = insert(recordings)
_INSERT_LINKS = insert(recording_bodies)


def add(connection: Connection, row: RecordingRow, digests: Iterable[str], *, replaces: bool = False) -> None:
    """Add a recording; with `replaces`, in place of the one of an earlier attempt of the same run."""
    if replaces:
        remove(connection, [row["run_id"]])
    connection.execute(_INSERT, row)
    links = [
        {"run_id": row["run_id"], "digest": digest, "owner": row["owner"]} for digest in sorted(set(digests))
    ]
    if links:
        connection.execute(_INSERT_LINKS, links)


_WORKFLOW = select(workflows.c.id).where(workflows.c.id == bindparam("_id"))


def has_workflow(connection: Connection, service_id: str) -> bool:
    """Whether the workflow is there: it may have been deleted while its last run went on."""
    return connection.execute(_WORKFLOW, {"_id": service_id}).first() is not None


def add_body(connection: Connection, owner: str, digest: str, size: int, sealed: bytes) -> None:
    """Add a body unless it is there."""
    row = {"owner": owner, "digest": digest, "bytes": size, "sealed": sealed}
    inserts.insert_once(connection, recorded_bodies, row)


def has_body(connection: Connection, owner: str, digest: str) -> bool:
    """Whether this body is stored."""
    query = select(recorded_bodies.c.digest).where(
        recorded_bodies.c.owner == owner, recorded_bodies.c.digest == digest
    )
    return connection.execute(query).first() is not None


def body(connection: Connection, owner: str, digest: str) -> bytes | None:
    """A sealed body."""
    query = select(recorded_bodies.c.sealed).where(
        recorded_bodies.c.owner == owner, recorded_bodies.c.digest == digest
    )
    return connection.execute(query).scalar()


def get(connection: Connection, owner: str, run_id: str) -> RowMapping | None:
    """A recording of this owner, whole."""
    query = select(recordings).where(recordings.c.run_id == run_id, recordings.c.owner == owner)
    return connection.execute(query).mappings().first()


def page(
    connection: Connection,
    owner: str,
    service_id: str | None,
    *,
    limit: int,
    before: int | None = None,
    version: int | None = None,
    status: str | None = None,
    run_id: str | None = None,
    tests: bool = False,
    ordinary: bool = False,
) -> Sequence[RowMapping]:
    """Recordings without their content, the latest first; with `tests` those that are tests, with `ordinary` those of
    runs without a mode.
    """
    query = select(*_INFO).where(recordings.c.owner == owner)
    if ordinary:
        query = query.where(recordings.c.mode.is_(None))
    if service_id is not None:
        query = query.where(recordings.c.service_id == service_id)
    if before is not None:
        query = query.where(recordings.c.created_at < before)
    if version is not None:
        query = query.where(recordings.c.version == version)
    if run_id is not None:
        query = query.where(recordings.c.run_id == run_id)
    if status is not None:
        query = query.where(recordings.c.status == status)
    if tests:
        query = query.where(recordings.c.expect.is_not(None))
    query = query.order_by(recordings.c.created_at.desc(), recordings.c.run_id).limit(limit)
    return connection.execute(query).mappings().all()


def of_service(connection: Connection, owner: str, service_id: str) -> Sequence[RowMapping]:
    """All recordings of a workflow without their content, the latest first."""
    query = (
        select(*_INFO)
        .where(recordings.c.owner == owner, recordings.c.service_id == service_id)
        .order_by(recordings.c.created_at.desc())
    )
    return connection.execute(query).mappings().all()


def of_runs(
    connection: Connection, owner: str, service_id: str, run_ids: Sequence[str]
) -> Sequence[RowMapping]:
    """Recordings of these runs without their content."""
    query = select(*_INFO).where(
        recordings.c.owner == owner,
        recordings.c.service_id == service_id,
        recordings.c.run_id.in_(run_ids),
    )
    return connection.execute(query).mappings().all()


def total_bytes(connection: Connection) -> int:
    """Bytes of all recordings of the home."""
    return int(connection.execute(select(func.sum(recordings.c.bytes))).scalar() or 0)


def totals(connection: Connection) -> tuple[int, int, int]:
    """(recordings, those that can be replayed whole, bytes) of the home."""
    whole = func.count().filter(recordings.c.obstacle == "")
    query = select(func.count(), whole, func.coalesce(func.sum(recordings.c.bytes), 0))
    count, replayable, size = connection.execute(query.select_from(recordings)).one()
    return int(count), int(replayable), int(size)


def largest_services(connection: Connection) -> Sequence[tuple[str, str, int]]:
    """(owner, service id, bytes) of every workflow with recordings, the largest first."""
    size = func.sum(recordings.c.bytes)
    query = (
        select(recordings.c.owner, recordings.c.service_id, size)
        .group_by(recordings.c.owner, recordings.c.service_id)
        .order_by(size.desc())
    )
    return [(owner, service, int(total)) for owner, service, total in connection.execute(query)]


def older(connection: Connection, before: int) -> list[str]:
    """Some run ids of recordings from before this time, but for pinned ones."""
    query = (
        select(recordings.c.run_id)
        .where(recordings.c.created_at < before, recordings.c.pinned.is_(False))
        .limit(AT_ONCE)
    )
    return list(connection.execute(query).scalars())


def pin(connection: Connection, owner: str, run_ids: Sequence[str], *, pinned: bool) -> int:
    """Keep recordings whatever the budget says, or no longer. Returns how many there are."""
    chosen = recordings.c.run_id.in_(run_ids) & (recordings.c.owner == owner)
    return connection.execute(update(recordings).where(chosen).values(pinned=pinned)).rowcount


def expect(connection: Connection, owner: str, run_id: str, expected: Sequence[str] | None) -> int:
    """Make a recording a test, which is pinned as such, or no longer one. Returns how many there are."""
    chosen = (recordings.c.run_id == run_id) & (recordings.c.owner == owner)
    values = {"expect": None if expected is None else list(expected), "pinned": expected is not None}
    return connection.execute(update(recordings).where(chosen).values(values)).rowcount


def owned(connection: Connection, owner: str, run_ids: Sequence[str]) -> list[str]:
    """Those of these runs of which this owner has a recording."""
    query = select(recordings.c.run_id).where(recordings.c.run_id.in_(run_ids), recordings.c.owner == owner)
    return list(connection.execute(query).scalars())


def remove(connection: Connection, run_ids: Sequence[str]) -> int:
    """Remove recordings, and the bodies that no other one has. Returns how many there were."""
    if not run_ids:
        return 0
    found = connection.execute(
        select(recording_bodies.c.owner, recording_bodies.c.digest).where(
            recording_bodies.c.run_id.in_(run_ids)
        )
    ).all()
    # The links first: a body that is linked after that belongs to another recording too.
    connection.execute(delete(recording_bodies).where(recording_bodies.c.run_id.in_(run_ids)))
    count = connection.execute(delete(recordings).where(recordings.c.run_id.in_(run_ids))).rowcount
    for owner, digest in set(map(tuple, found)):
        still = select(recording_bodies.c.digest).where(
            recording_bodies.c.owner == owner, recording_bodies.c.digest == digest
        )
        connection.execute(
            delete(recorded_bodies).where(
                recorded_bodies.c.owner == owner, recorded_bodies.c.digest == digest, ~still.exists()
            )
        )
    return count


def remove_service(connection: Connection, service_id: str) -> None:
    """Remove all recordings of a workflow that is deleted, and what was learned for it."""
    query = select(recordings.c.run_id).where(recordings.c.service_id == service_id).limit(AT_ONCE)
    while ids := list(connection.execute(query).scalars()):
        remove(connection, ids)
    connection.execute(delete(unread_hosts).where(unread_hosts.c.service_id == service_id))


def add_unread_host(
    connection: Connection, service_id: str, version: int, host: str, why: str, at: int
) -> None:
    """Note a host whose content is not read for this version."""
    # A program chooses the name, and the column has a length.
    row = {"service_id": service_id, "version": version, "host": host[:255], "why": why, "at": at}
    inserts.insert_once(connection, unread_hosts, row)


def hosts_unread(connection: Connection, service_id: str, version: int) -> dict[str, str]:
    """Hosts whose content is not read for this version, with the reasons."""
    query = select(unread_hosts.c.host, unread_hosts.c.why).where(
        unread_hosts.c.service_id == service_id, unread_hosts.c.version == version
    )
    return {row.host: row.why for row in connection.execute(query)}


def all_unread_hosts(connection: Connection, limit: int) -> list[UnreadHostRow]:
    """Hosts whose content is not read, by version: those of live versions first, the latest first."""
    live = workflows.c.active_version == unread_hosts.c.version
    query = (
        select(unread_hosts, live.label("live"))
        .join(workflows, workflows.c.id == unread_hosts.c.service_id)
        .order_by(live.desc(), unread_hosts.c.at.desc(), unread_hosts.c.host)
        .limit(limit)
    )
    return [
        UnreadHostRow(
            service_id=row.service_id, version=row.version, live=bool(row.live), host=row.host, why=row.why
        )
        for row in connection.execute(query)
    ]
