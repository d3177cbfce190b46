"""The recordings of a home: sealed, bounded in bytes for each workflow and in all."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, RowMapping

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.run import ExecutionMode
from codewords_mcp.runtime.recording.codec import DamagedRecording, decode, decode_body, encode, encode_body
from codewords_mcp.runtime.recording.exchanges import NOT_STORED, Recording, RunMessage
from codewords_mcp.runtime.recording.retention import surplus
from codewords_mcp.runtime.recording.shapes import shape_of
from codewords_mcp.runtime.secrets.sealing import DamagedSeal, Sealer
from codewords_mcp.runtime.store import recordings as rows
from codewords_mcp.runtime.store.clock import now, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

log = structlog.get_logger(__name__)

SHARED_FROM: Final = 4096
"""Bytes from which on a body is stored by itself, once for all recordings of an owner that have it."""
PER_SHAPE: Final = 20
"""Successful runs with inputs of one shape that are stored in `PER_SHAPE_SECONDS`. More would tell nothing new."""
PER_SHAPE_SECONDS: Final = 60.0
RECORDING_CUT: Final = "recording cut to an outline: it was not stored"
MAX_OUTLINES: Final = 1000
"""Outlines of recordings that wait for room on the disk. Those of further runs are lost."""
_LARGE: Final = 256 << 10
"""Bytes from which on a recording is encoded outside of the thread that writes to the database."""


@dataclass(frozen=True, slots=True)
class _NotedTime:
    """The time of a recording among those of its shape."""

    times: deque[float] = field(default_factory=deque[float])
    at: float = 0.0

    def forget(self) -> None:
        """It was not stored."""
        if self.at in self.times:
            self.times.remove(self.at)


class RecordingService:
    """Stores recordings and finds them. Contents are sealed at rest.

    Settings bound the bytes of a workflow and of the home, and the age.
    """

    def __init__(self, database: Database, sealer: Sealer, settings: Settings) -> None:
        self._db = database
        self._sealer = sealer
        self._workflow_bytes = settings.recording_workflow_bytes
        self._home_bytes = settings.recording_home_bytes
        self._ttl = settings.recording_ttl
        self._unread: dict[tuple[str, int], dict[str, str]] = {}
        self._stored_at: dict[tuple[str, int, str], deque[float]] = {}
        self._outlines = 0
        # Used by functions in the writer thread only.
        self._totals: dict[tuple[str, str], int] = {}

    async def store(
        self,
        owner: str,
        recording: Recording,
        *,
        mode: ExecutionMode | None = None,
        replaces: bool = False,
    ) -> None:
        """Store a recording soon; with `replaces`, in place of the one of an earlier attempt of the same run.

        A full disk loses what was sent and received: an outline that says so is stored once there is room.
        """
        shape = await _shape(recording.request)
        noted = self._note(recording, shape)
        if noted is None:
            return
        bodies = await _packed(recording)
        written = self._db.write_soon(
            self._add, owner, recording, bodies, shape=shape, mode=mode, replaces=replaces
        )

        def try_again(written: asyncio.Future[None]) -> None:
            if written.cancelled() or written.exception() is None:
                return
            # An outline has nothing to replay, so it must not keep another run of this shape out.
            noted.forget()
            self._store_outline(owner, recording.outline(NOT_STORED), shape, mode=mode, replaces=replaces)

        written.add_done_callback(try_again)

    async def bring(self, owner: str, recording: Recording) -> RecordingInfo:
        """Store a recording of another home. Raises StorageFailed."""
        shape = await _shape(recording.request)
        bodies = await _packed(recording)
        await self._db.write(self._add, owner, recording, bodies, shape=shape, imported=True)
        found = await self.recent(owner, recording.service_id, 1, run_id=recording.run_id)
        if not found:
            raise NotFound("The workflow was deleted meanwhile.")
        return found[0]

    def _store_outline(
        self, owner: str, outline: Recording, shape: str, *, mode: ExecutionMode | None, replaces: bool
    ) -> None:
        """Store what is left of a recording that found no room, once there is room."""
        # Outlines wait in memory while the store takes nothing, so their number is bounded.
        if self._outlines >= MAX_OUTLINES:
            return
        log.warning(RECORDING_CUT, run_id=outline.run_id)
        self._outlines += 1

        def written(_: asyncio.Future[None]) -> None:
            self._outlines -= 1

        done = self._db.write_with_retries(
            self._add, owner, outline, {}, shape=shape, mode=mode, replaces=replaces, recount=True
        )
        done.add_done_callback(written)

    async def load(self, owner: str, run_id: str) -> Recording:
        """A recording with its bodies. Raises NotFound, where it is damaged too."""
        try:
            found = await self._db.read(self._load, owner, run_id)
        except (DamagedRecording, DamagedSeal) as error:
            log.warning("recording not readable", run_id=run_id, reason=str(error))
            if isinstance(error, DamagedRecording):
                reason = error
            else:
                reason = "it is damaged"
            raise NotFound(
                f"The recording of this run cannot be read: {reason}.", hint="Remove it; its run stays."
            ) from None
        if found is None:
            raise NotFound(
                "There is no recording of this run.",
                hint="It is older than recordings are kept, or was not recorded: its trace says why.",
            )
        return found

    async def recent(
        self,
        owner: str,
        service_id: str | None,
        limit: int = 20,
        *,
        version: int | None = None,
        status: str | None = None,
        run_id: str | None = None,
        tests: bool = False,
        ordinary: bool = False,
    ) -> list[RecordingInfo]:
        """Recordings without their content, the latest first; with `tests` those that are tests, with `ordinary` those of
        runs without a mode.
        """
        found = await self._db.read(
            rows.page,
            owner,
            service_id,
            limit=limit,
            version=version,
            status=status,
            run_id=run_id,
            tests=tests,
            ordinary=ordinary,
        )
        return [_info(row) for row in found]

    async def infos(self, owner: str, service_id: str, run_ids: Sequence[str]) -> list[RecordingInfo]:
        """Recordings of these runs of a workflow, as far as there are any, without their content."""
        found = {row["run_id"]: row for row in await self._db.read(rows.of_runs, owner, service_id, run_ids)}
        return [_info(found[run_id]) for run_id in run_ids if run_id in found]

    async def pin(self, owner: str, run_ids: list[str], *, pinned: bool = True) -> int:
        """Keep recordings whatever they take, or no longer. Returns how many were found."""
        return await self._db.write(rows.pin, owner, run_ids, pinned=pinned)

    async def expect(self, owner: str, run_id: str, expected: Sequence[str] | None) -> int:
        """Make a recording a test, or no longer one. Returns how many were found."""
        return await self._db.write(rows.expect, owner, run_id, expected)

    async def remove(self, owner: str, run_ids: list[str]) -> int:
        """Remove recordings of this owner. Returns how many were found."""

        def remove(connection: Connection) -> int:
            # The sums are read again where they are needed: the recordings may be of several workflows.
            self._totals.clear()
            return rows.remove(connection, rows.owned(connection, owner, run_ids))

        return await self._db.write(remove)

    async def unread_hosts(self, service_id: str, version: int) -> dict[str, str]:
        """Hosts whose content is not read for this version, with the reasons. The same dict each time: it grows."""
        key = (service_id, version)
        if key not in self._unread:
            found = await self._db.read(rows.hosts_unread, service_id, version)
            self._unread.setdefault(key, found)
        return self._unread[key]

    def add_unread_host(self, service_id: str, version: int, host: str, why: str) -> None:
        """Remember a host whose content cannot be read for this version."""
        self._unread.setdefault((service_id, version), {})[host] = why
        self._db.write_soon(rows.add_unread_host, service_id, version, host, why, now())

    async def prune(self) -> None:
        """Remove recordings that are too old, and what exceeds the bytes of the home."""
        before = now() - int(self._ttl * 1e6)
        removed = rows.AT_ONCE
        while removed == rows.AT_ONCE:
            removed = await self._db.write(partial(_remove_older, before=before))
        await self._db.write(self._shrink)

    def _note(self, recording: Recording, shape: str) -> _NotedTime | None:
        """Note that a recording is stored; None for one that says nothing that those of the last minute do not say."""
        if recording.status != "succeeded":
            return _NotedTime()
        key = (recording.service_id, recording.version, shape)
        times = self._stored_at.setdefault(key, deque(maxlen=PER_SHAPE))
        at = time.monotonic()
        if len(times) == PER_SHAPE and at - times[0] < PER_SHAPE_SECONDS:
            return None
        times.append(at)
        # Bounded for programs with a new shape each time. What is forgotten is only that a minute had enough.
        if len(self._stored_at) > 10_000:
            self._stored_at.clear()
        return _NotedTime(times, at)

    # in transactions

    def _add(
        self,
        connection: Connection,
        owner: str,
        recording: Recording,
        packed: dict[bytes, bytes],
        *,
        shape: str,
        mode: ExecutionMode | None = None,
        imported: bool = False,
        replaces: bool = False,
        recount: bool = False,
    ) -> None:
        if recount:
            # It counts a recording that was undone with its transaction.
            self._totals.pop((owner, recording.service_id), None)
        if not rows.has_workflow(connection, recording.service_id):
            return

        digests: list[str] = []
        added = 0

        def place(body: bytes) -> bytes | str:
            nonlocal added
            if len(body) < SHARED_FROM:
                return body
            digest = self._sealer.digest(connection, owner, body)
            # Equal bodies are stored once, also among recordings of the same owner.
            if digest not in digests and not rows.has_body(connection, owner, digest):
                sealed = self._sealer.seal(connection, owner, digest, packed.get(body) or encode_body(body))
                rows.add_body(connection, owner, digest, len(sealed), sealed)
                added += len(sealed)
            digests.append(digest)
            return digest

        sealed = self._sealer.seal(connection, owner, recording.run_id, encode(recording, place))
        size = len(sealed) + added
        row: rows.RecordingRow = {
            "run_id": recording.run_id,
            "owner": owner,
            "service_id": recording.service_id,
            "version": recording.version,
            "created_at": recording.created_at,
            "status": recording.status,
            "mode": mode,
            "shape": shape,
            "bytes": size,
            "exchanges": len(recording.exchanges),
            "obstacle": "; ".join([*recording.obstacles, *recording.partial_answers]),
            "pinned": False,
            "imported": imported,
            "sealed": sealed,
        }
        rows.add(connection, row, digests, replaces=replaces)
        self._bound(connection, owner, recording.service_id, size)

    def _bound(self, connection: Connection, owner: str, service_id: str, added: int) -> None:
        key = (owner, service_id)
        known = self._totals.get(key)
        if known is not None and known + added <= self._workflow_bytes:
            self._totals[key] = known + added
            return

        infos = [_info(row) for row in rows.of_service(connection, owner, service_id)]
        total = sum(one.bytes for one in infos)
        if total > self._workflow_bytes:
            # Some room more, so that the next recordings need no choice again.
            gone = set(surplus(infos, int(self._workflow_bytes * 0.9)))
            rows.remove(connection, list(gone))
            total = sum(one.bytes for one in infos if one.run_id not in gone)
        self._totals[key] = total

    def _shrink(self, connection: Connection) -> None:
        """Remove from the largest workflows until the home's bound holds."""
        self._totals.clear()
        excess = rows.total_bytes(connection) - self._home_bytes
        for owner, service_id, size in rows.largest_services(connection):
            if excess <= 0:
                return
            infos = [_info(row) for row in rows.of_service(connection, owner, service_id)]
            # At most half of one workflow's, so that the next largest gives, too.
            gone = set(surplus(infos, max(size // 2, size - excess)))
            rows.remove(connection, list(gone))
            excess -= sum(one.bytes for one in infos if one.run_id in gone)

    def _load(self, connection: Connection, owner: str, run_id: str) -> Recording | None:
        row = rows.get(connection, owner, run_id)
        if row is None:
            return None

        def body(digest: str) -> bytes | None:
            sealed = rows.body(connection, owner, digest)
            if sealed is None:
                return None
            return decode_body(self._sealer.open(connection, owner, digest, sealed))

        return decode(self._sealer.open(connection, owner, run_id, row["sealed"]), body)


async def _shape(request: RunMessage) -> str:
    if len(request.body or b"") < _LARGE:
        return shape_of(request)
    return await asyncio.to_thread(shape_of, request)


async def _packed(recording: Recording) -> dict[bytes, bytes]:
    """Large bodies → the same, compressed, where they are so many that compressing them would hold up other writes."""
    bodies = [one.body for one in recording.exchanges]
    bodies += [one.request.body for one in recording.exchanges if one.request.body]
    large = [body for body in bodies if len(body) >= SHARED_FROM]
    if sum(map(len, large)) < _LARGE:
        return {}
    return await asyncio.to_thread(_pack, large)


def _pack(bodies: list[bytes]) -> dict[bytes, bytes]:
    return {body: encode_body(body) for body in bodies}


def _remove_older(connection: Connection, before: int) -> int:
    return rows.remove(connection, rows.older(connection, before))


def _info(row: RowMapping) -> RecordingInfo:
    return RecordingInfo(
        run_id=row["run_id"],
        service_id=row["service_id"],
        version=row["version"],
        created_at=to_datetime(row["created_at"]),
        status=row["status"],
        mode=row["mode"],
        shape=row["shape"],
        bytes=row["bytes"],
        exchanges=row["exchanges"],
        obstacle=row["obstacle"],
        pinned=row["pinned"],
        imported=row["imported"],
        expect=row["expect"],
    )
