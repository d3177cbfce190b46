"""New rows of runs, written once for each idempotency key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from codewords_mcp.errors import Conflict, NotFound
from codewords_mcp.runtime.model.limits import LimitScope, limit_scope
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.model.run_state import open_attempt, to_starting
from codewords_mcp.runtime.runs.ancestry import RunAncestry
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.owner_quotas import OwnerQuotas
from codewords_mcp.runtime.runs.repeated_request import never_began
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

Decide = Callable[[Connection, RunColumns], RunColumns]
"""`decide(connection, row)` returns the row as it is to be written; called in the transaction that writes it."""
More = Callable[[Connection], None]
"""Writes more in the same transaction."""
UNBOUNDED = 1 << 30


@dataclass(frozen=True, slots=True)
class CalledService:
    """A library service as the target of a run: one version, one attempt, no limits of its own."""

    service_id: str
    version: None = None
    retries: int = 0
    limits: tuple[int | None, int | None] = (UNBOUNDED, UNBOUNDED)


Target = Servable | CalledService


class RunRecords:
    """Makes and writes the rows of new runs; `executor` is this process."""

    def __init__(self, database: Database, settings: Settings, executor: str, quotas: OwnerQuotas) -> None:
        self._db = database
        self.quotas = quotas
        self._settings = settings
        self._executor = executor

    def limit_scope(self, request: RunRequest, target: Target) -> LimitScope:
        """The limits that this run counts against."""
        caller = request.caller
        if request.mode == "replay":
            # Bounded by who replays: it takes no slot from a run that somebody waits for.
            return LimitScope("", "replays", target.service_id, ())
        return limit_scope(
            self._settings, caller.owner, caller.key_id, target.service_id, target.limits,
            nested=caller.kind == "run",
            quota=(self.quotas.concurrency(caller.owner), self.quotas.of(caller.owner).queue_limit),
        )  # fmt: skip

    def new_row(self, request: RunRequest, target: Target, run_id: str, ancestry: RunAncestry) -> RunColumns:
        """The row of a run that starts now in this process."""
        at = now()
        row: RunColumns = {
            "id": run_id,
            "owner": request.caller.owner,
            "created_at": at,
            "service_id": target.service_id,
            "version": target.version,
            "correlation_id": ancestry.correlation_id,
            "parent_id": request.caller.run_id,
            "idempotency_key": request.idempotency_key,
            "key_id": request.caller.key_id,
            "executor": self._executor,
            "depth": ancestry.depth,
            "made_by": request.made_by.as_json() if request.made_by else None,
            "mode": request.mode,
            "mode_of": request.mode_of,
            "trace_parent": request.trace_parent,
        }
        if request.trigger is not None:
            row["trigger_kind"] = request.trigger.kind
            row["trigger_id"] = request.trigger.id
            row["event_key"] = request.trigger.event
        if request.mode == "replay":
            # As if its usage were in the sums already: it counts in none.
            row["summed"] = True
        row.update(to_starting(at, [open_attempt(1, at)]))
        return row

    async def record_once(
        self, request: RunRequest, row: RunColumns, decide: Decide | None = None, more: More | None = None
    ) -> str | None:
        """Write the row that `decide` returns, and `more` in the same transaction.

        Returns the id of the run that first used the idempotency key, if there is one: then nothing is
        written. Raises the errors of `decide`; QuotaExceeded; NotFound or Conflict for an unknown or used provisioned id.
        """
        try:
            return await self._db.write(_record, request, row, decide, more, self.quotas)
        except IntegrityError:
            if not request.idempotency_key:
                raise
        # Two requests used the key at the same time, and the other one won: this one finds it, or its key is free again.
        return await self._db.write(_record, request, row, decide, more, self.quotas)


def new_id() -> str:
    """A run id: random, 128 bits."""
    return str(uuid.uuid4())


def shown(run_id: str) -> str:
    """A run id for a message, if it looks like one: text of a caller must not enter messages."""
    if len(run_id) <= 40 and run_id.replace("-", "").isalnum():
        return run_id
    return "of that id"


def _record(
    connection: Connection,
    request: RunRequest,
    row: RunColumns,
    decide: Decide | None,
    more: More | None,
    quotas: OwnerQuotas,
) -> str | None:
    if request.idempotency_key and (first := _first(connection, request, request.idempotency_key)):
        return first

    counts = row.get("version") is not None and row.get("mode") != "replay"
    if counts and (refused := quotas.runs_refusal(connection, request.caller.owner)):
        raise refused

    if decide is not None:
        row = decide(connection, row)
    if request.request_id is None:
        rows.add(connection, row)
    else:
        _use_provisioned(connection, request.request_id, row)

    if more is not None:
        more(connection)
    return None


def _first(connection: Connection, request: RunRequest, key: str) -> str | None:
    """The id of the first run with the key. One that failed before it began leaves its key to this request."""
    first = rows.find_idempotent(connection, request.caller.owner, request.service_id, key)
    run = first and not request.background and rows.get(connection, first)
    if not run or not never_began(run):
        return first
    rows.change(connection, run.id, {"idempotency_key": None}, only_from=(run.status,))
    return None


def _use_provisioned(connection: Connection, run_id: str, row: RunColumns) -> None:
    known = rows.get(connection, run_id, row.get("owner"))
    # an id that one run provisioned must not be used by another run
    if known is None or known.parent_id != row.get("parent_id"):
        raise NotFound(
            f"There is no provisioned request {shown(run_id)}.", hint="POST /provision-request gives one."
        )

    values = row.copy()
    for name in ("id", "owner", "created_at"):
        values.pop(name, None)
    if not rows.change(connection, run_id, values, only_from=("provisioned",)):
        raise Conflict(
            f"The provisioned request {run_id} was already used.", hint="Provision one request per run."
        )
