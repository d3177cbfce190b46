"""The states of a run, and the columns of its row that change together.

::

    provisioned ───────────┬──────────────┐
         │                 ▼              ▼
         │      ┌────▶  queued  ─────▶ starting ─────▶ running
         │      │          │           │  │  ▲          │  │
         │      │          │           │  │  └ replicas │  │
         │      └ retry, released, suspended, store away ┘  │
         ▼                 ▼              ▼                ▼
     cancelled        succeeded · failed · timed_out · cancelled · interrupted

* ``provisioned``: an id whose log can be followed; nothing was requested yet.
* ``queued``: waits for the thing that ``waits_for`` names. ``executor`` is the process that goes on with
  the run. A run in the background may have none: then it has an entry in the durable queue (``in_queue``,
  the ``deliveries``-th one), or is about to get one.
* A run that waits for a person or for a time, longer than some seconds, is ``queued`` without an executor and
  without an entry, and ``waits_for`` is one of ``SUSPENDED`` (``runs/waits.py``).
* ``starting``: has a slot and an open attempt; its sandbox is being made.
* ``running``: its program serves the request. Runs in shared sandboxes, which are running already, go from
  ``starting`` to their end. Calls of library services, which have no sandbox, begin as ``running``.
* A final status never changes. ``executor`` stays until the last log line is stored, or is released
  together with the status where nobody may write to the run any more.

Every writer of a run's status takes its columns from this module, so that no writer forgets one. The module
is in ``model`` because ``store.recovery`` writes states too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.run import FINISHED, RunStatus
from codewords_mcp.runtime.model.run_columns import (
    AttemptEntry,
    AttemptOutcome,
    ErrorEntry,
    FinalStatus,
    RunColumns,
)

QueueReason = str
"""The thing that a queued run waits for: "turn", "time", "retry", "memory", "files", or the scope of a limit."""

UNFINISHED = ("queued", "starting", "running")
ACTIVE = ("starting", "running")
"""The states that occupy a slot."""
FAILED = ("failed", "timed_out", "interrupted")
"""The final states of runs that should have succeeded."""
NOT_RUNNING = ("queued", "starting")
SUSPENDED = ("answer", "wait")
"""Values of `waits_for` of a queued run that has given its sandbox back: it goes on when a person has answered, or at a time.
It has no executor and no queue entry, and counts as waiting in no queue.
"""
TRANSITIONS: dict[RunStatus, frozenset[str]] = {
    "provisioned": frozenset({"queued", "starting", "running", "cancelled"}),
    "queued": frozenset({"queued", "starting", "running", *FINISHED}),
    "starting": frozenset({"queued", "starting", "running", *FINISHED}),
    "running": frozenset({"queued", *FINISHED}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "timed_out": frozenset(),
    "cancelled": frozenset(),
    "interrupted": frozenset(),
}
"""The statuses that may follow each status."""


def to_provisioned() -> RunColumns:
    """Columns of an id that is given out before its request comes."""
    return {"status": "provisioned"}


def to_queued(
    waits_for: QueueReason | None, *, attempts: Iterable[AttemptEntry] = (), started_at: int | None = None
) -> RunColumns:
    """Columns of a run that waits and that its executor goes on with."""
    return {
        "status": "queued",
        "started_at": started_at,
        "running_at": None,
        "completed_at": None,
        "waits_for": waits_for,
        "attempts": list(attempts),
    }


def to_waiting_in_queue(waits_for: QueueReason, *, in_queue: bool, not_before: int | None) -> RunColumns:
    """Columns of a new run that no executor has; `in_queue`: its first queue entry is written with it."""
    return to_queued(waits_for) | {
        "executor": None,
        "in_queue": in_queue,
        "deliveries": int(in_queue),
        "not_before": not_before,
    }


def to_released(attempts: Iterable[AttemptEntry]) -> RunColumns:
    """Columns of a run whose executor is gone or has let go of it; it gets a new queue entry later."""
    return {
        "status": "queued",
        "executor": None,
        "in_queue": False,
        "completed_at": None,
        "waits_for": "turn",
        "attempts": list(attempts),
    }


def to_released_anew(attempts: Iterable[AttemptEntry], retries: int) -> RunColumns:
    """Columns of a run whose attempt was lost before it learned that its wait is over: none of its `retries` is used up."""
    return {**to_released(attempts), "error": None, "retries": retries + 1}


def to_suspended(waits_for: QueueReason, attempts: Sequence[AttemptEntry], retries: int) -> RunColumns:
    """Columns of a run that gives its sandbox back and waits for a person or a time. `retries` are those before it."""
    return {
        **to_queued(waits_for, attempts=attempts),
        "executor": None,
        "in_queue": False,
        "error": None,
        # The attempt that goes on from here is none that the header counts.
        "retries": retries + 1,
    }


def to_resumed(executor: str | None) -> RunColumns:
    """Columns of a suspended run that goes on in this process; None: in any that takes it from the queue."""
    return {"executor": executor, "in_queue": False, "waits_for": "turn"}


def to_starting(at: int, attempts: Sequence[AttemptEntry] | None = None) -> RunColumns:
    """Columns of a run that has a slot since `at`; without `attempts`, its attempt is recorded later."""
    columns: RunColumns = {"status": "starting", "started_at": at, "running_at": None, "waits_for": None}
    if attempts is not None:
        columns["attempts"] = list(attempts)
    return columns


def to_running(at: int, isolation: str) -> RunColumns:
    """Columns of a run whose program is ready since `at`."""
    return {"status": "running", "running_at": at, "waits_for": None, "isolation": isolation}


def to_running_service(at: int) -> RunColumns:
    """Columns of a call of a library service that begins at `at`: it has no sandbox, and one attempt."""
    return {
        "status": "running",
        "started_at": at,
        "running_at": at,
        "waits_for": None,
        "attempts": [open_attempt(1, at)],
    }


def to_finished(
    status: FinalStatus,
    error: ErrorEntry | None,
    at: int,
    attempts: Iterable[AttemptEntry] | None = None,
    *,
    release: bool = False,
) -> RunColumns:
    """Columns of a run that is over since `at`. Without `attempts` those on record stay.

    With `release` no executor has the run any more: one that was taken for dead and comes back must not end
    the run in another way.
    """
    columns: RunColumns = {"status": status, "completed_at": at, "waits_for": None, "error": error}
    if attempts is not None:
        columns["attempts"] = list(attempts)
    if release:
        columns["executor"] = None
    return columns


# columns that change while the status stays


def waiting_for(reason: QueueReason) -> RunColumns:
    """Columns of a run that waits for something else than before."""
    return {"waits_for": reason}


def claimed_by(executor: str) -> RunColumns:
    """Columns of a waiting run that an executor takes out of the queue."""
    return {"executor": executor, "in_queue": False}


def delivered(deliveries: int) -> RunColumns:
    """Columns of a waiting run whose queue entry number `deliveries` is written with them."""
    return {"in_queue": True, "deliveries": deliveries}


def not_delivered() -> RunColumns:
    """Columns of a waiting run whose queue entry is lost: it gets a new one."""
    return {"in_queue": False}


def released() -> RunColumns:
    """Columns of a finished run whose log is complete."""
    return {"executor": None}


# entries of columns


def open_attempt(number: int, at: int) -> AttemptEntry:
    """An attempt that begins at `at`; the first has number 1."""
    return {"number": number, "started_at": at, "ended_at": None, "outcome": None}


def has_open_attempt(attempts: Sequence[AttemptEntry]) -> bool:
    """Whether the last attempt has begun and not ended."""
    return bool(attempts) and attempts[-1]["ended_at"] is None


def close_attempts(attempts: Iterable[AttemptEntry], at: int, outcome: AttemptOutcome) -> list[AttemptEntry]:
    """The attempts, with the open one ended."""
    return [
        attempt if attempt["ended_at"] else {**attempt, "ended_at": at, "outcome": outcome}
        for attempt in attempts
    ]


def error_entry(error: CodewordsError) -> ErrorEntry:
    """The column `error` of a run that ended with this error."""
    entry: ErrorEntry = {
        "code": error.code,
        "message": error.message,
        "origin": error.origin,
        "hint": error.hint,
    }
    if error.remedy is not None:
        entry["remedy"] = error.remedy.to_dict()
    return entry


def platform_error(code: str, message: str, hint: str = "") -> ErrorEntry:
    """The column `error` of a run that the runtime ended."""
    return {"code": code, "message": message, "origin": "platform", "hint": hint}
