"""The pause of a restored home: it starts nothing by itself, since its work may have been done since the backup.

A backup has schedules that were due after it, runs that waited and deliveries that had not started a run. The home it
was taken from has gone on with all of them. A restored home therefore waits for a person's word.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from codewords_mcp.runtime.model.run_state import platform_error, to_finished
from codewords_mcp.runtime.store import requests
from codewords_mcp.runtime.store.clock import now, to_micros
from codewords_mcp.runtime.store.database_identity import was_restored
from codewords_mcp.runtime.store.runs import change
from codewords_mcp.runtime.store.tables import meta, runs, schedules
from codewords_mcp.runtime.store.tables import webhook_deliveries as deliveries
from codewords_mcp.runtime.triggers import cron

PAUSED = "paused"
"""Name in the table `meta`; its value is JSON, `{"at": µs}`."""
CANCELLED = platform_error("cancelled", "The run waited in a backup that was restored.")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Numbers of things that a paused home would resume."""

    runs: int
    deliveries: int
    schedules: int


def mark() -> tuple[str, str]:
    """The row of `meta` that makes a home start paused from now on."""
    return PAUSED, json.dumps({"at": now()})


def paused_at(connection: Connection) -> int | None:
    """Time at which the home was paused, in µs; None if it is not paused."""
    value = connection.execute(select(meta.c.value).where(meta.c.name == PAUSED)).scalar()
    if value is None:
        return None
    return int(json.loads(value)["at"])


def pause(connection: Connection) -> None:
    """Make the home start paused."""
    name, value = mark()
    connection.execute(delete(meta).where(meta.c.name == name))
    connection.execute(insert(meta).values(name=name, value=value))


def pause_if_restored(connection: Connection) -> int | None:
    """Pause a PostgreSQL home whose database was restored; when the home was paused, as `paused_at`."""
    if was_restored(connection):
        pause(connection)
    return paused_at(connection)


def created_before(connection: Connection, run_id: str, at: int) -> bool:
    """Whether the run was recorded before a time."""
    return (
        connection.execute(select(runs.c.id).where(runs.c.id == run_id, runs.c.created_at < at)).first()
        is not None
    )


def waiting(connection: Connection, before: int) -> Waiting:
    """Count the things that wait since before a time, and the schedules that are not paused themselves."""

    def count(*where: object) -> int:
        return connection.execute(select(func.count()).where(*where)).scalar_one()  # pyright: ignore[reportArgumentType]

    return Waiting(
        runs=count(runs.c.status == "queued", runs.c.background.is_(True), runs.c.created_at < before),
        deliveries=count(deliveries.c.status == "received", deliveries.c.received_at < before),
        schedules=count(schedules.c.paused.is_(False), schedules.c.next_at.is_not(None)),
    )


def resume(connection: Connection, *, cancel_waiting: bool) -> None:
    """Go on. Schedules go on with their next time from now, since a pause is nothing that was missed.

    With `cancel_waiting` the runs that waited when the home was paused are cancelled, and deliveries start none.
    """
    at = paused_at(connection)
    if at is None:
        return

    for row in connection.execute(select(schedules).where(schedules.c.next_at.is_not(None))).mappings().all():
        if row["next_at"] <= now():
            connection.execute(
                update(schedules).where(schedules.c.id == row["id"]).values(_from_now(dict(row)))
            )

    # The home that the backup was taken from has gone on with what was held back.
    connection.execute(update(schedules).values(held_back=0))
    if cancel_waiting:
        _cancel_waiting(connection, at)
    connection.execute(delete(meta).where(meta.c.name == PAUSED))


def _from_now(schedule: dict[str, object]) -> dict[str, object]:
    if schedule["cron"] is None:
        return {"next_at": None, "note": "Its one time passed while the restored home was paused."}
    where = cron.parse_zone(str(schedule["timezone"]))
    coming = cron.next_times(str(schedule["cron"]), where, datetime.now(UTC), 1)
    return {"next_at": to_micros(coming[0]) if coming else None, "note": ""}


def _cancel_waiting(connection: Connection, before: int) -> None:
    waiting_runs = select(runs.c.id).where(
        runs.c.status == "queued",
        runs.c.background.is_(True),
        runs.c.executor.is_(None),
        # What came after the restore is meant to run.
        runs.c.created_at < before,
    )
    for run_id in connection.execute(waiting_runs).scalars().all():
        change(connection, run_id, to_finished("cancelled", CANCELLED, now()))
        requests.forget(connection, run_id)

    unstarted = (deliveries.c.status == "received") & (deliveries.c.received_at < before)
    reason = "It waited in a backup that was restored."
    connection.execute(update(deliveries).where(unstarted).values(status="ignored", reason=reason))
