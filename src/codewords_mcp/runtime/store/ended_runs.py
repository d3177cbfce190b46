"""Events of runs that end, for the triggers that wait for them. Written in the transaction that ends the run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.model.caller import MAX_DEPTH, MadeBy
from codewords_mcp.runtime.model.plain_text import quoted
from codewords_mcp.runtime.store import trigger_events, triggers
from codewords_mcp.runtime.store.clock import now, to_text
from codewords_mcp.runtime.store.prepared import Prepared
from codewords_mcp.runtime.store.tables import runs, workflows
from codewords_mcp.runtime.store.tables import triggers as trigger_table
from codewords_mcp.runtime.store.trigger_events import NewEvent

RUN_ENDED = "run_ended"
"""The kind of the triggers whose events are these."""
MAX_RESPONSE = 256 << 10
"""Characters of an answer as JSON that an event repeats."""
MAX_WAITING = 1000
"""Events of a trigger that may wait for their runs; further ones are skipped, and counted as missed."""
_UNREPORTED = ("replay", "dry_run")
"""Modes of runs whose end is no event: they did nothing."""
_COLUMNS = (
    runs.c.id, runs.c.owner, runs.c.service_id, runs.c.version, runs.c.status, runs.c.error, runs.c.response_status,
    runs.c.response_json, runs.c.response_content, runs.c.mode, runs.c.depth, runs.c.made_by, runs.c.parent_id,
    runs.c.correlation_id, runs.c.key_id, runs.c.created_at, runs.c.completed_at, runs.c.trigger_kind, runs.c.trigger_id,
)  # fmt: skip
_WATCHERS = Prepared(
    select(trigger_table.c.id)
    .join(runs, runs.c.service_id == trigger_table.c.watches)
    .where(
        runs.c.id == bindparam("run_id"),
        runs.c.owner == trigger_table.c.owner,
        trigger_table.c.paused.is_(False),
    )
)
"""Made once, as each run asks: to build a statement costs more than to run it."""


def note_end(connection: Connection, run_id: str) -> None:
    """Store the event of a run that has ended, for each trigger that waits for it."""
    ids = list(_WATCHERS.execute(connection, {"run_id": run_id}).scalars())
    if not ids:
        return

    run = connection.execute(select(*_COLUMNS).where(runs.c.id == run_id)).mappings().one()
    if run["mode"] in _UNREPORTED:
        return
    data = describe_end(run)
    # In one order, so that two runs that end at once don't wait for each other's rows.
    for trigger_id in sorted(ids):
        row = triggers.lock(connection, trigger_id)
        # A trigger may have been paused while this waited for its row.
        if row is not None and not row["paused"] and matches_status(row["options"], run["status"]):
            _store(connection, row, run, data)


def matches_status(options: JsonObject, status: str) -> bool:
    """Whether a trigger with these options waits for runs that end so."""
    statuses: Any = options.get("statuses") or ()
    return not statuses or status in statuses


def _store(connection: Connection, row: triggers.TriggerRow, run: RowMapping, data: JsonObject) -> None:
    at = now()
    chain = _services_above(connection, run)
    # Workflows that start each other would otherwise never end.
    if run["depth"] + 1 > MAX_DEPTH:
        triggers.stop(connection, row, _loop_note(connection, row, chain), at)
        return

    made_by = MadeBy(run["service_id"], run["depth"] + 1, chain, run["key_id"])
    full = row["waiting"] >= MAX_WAITING
    event = NewEvent(
        run["id"],
        data,
        run["completed_at"],
        "skipped" if full else "pending",
        made_by.as_json(),
        run["correlation_id"],
    )
    new = trigger_events.unknown(connection, row["id"], [event])
    if not new:
        return
    trigger_events.add(connection, row["id"], row["seq"], new, at)
    values: triggers.TriggerChange = {"seq": row["seq"] + 1, "polled_at": at}
    if full:
        values["missed"] = row["missed"] + 1
    else:
        values["waiting"] = row["waiting"] + 1
    triggers.change(connection, row["id"], values)


def _services_above(connection: Connection, run: RowMapping) -> tuple[str, ...]:
    """The workflows of the chain that a run belongs to, its own first."""
    chain: list[str] = []
    found: Any = run
    # Bounded: an imported or damaged record could name itself as its parent.
    while found is not None and len(chain) <= MAX_DEPTH:
        chain.append(found["service_id"])
        origin = MadeBy.from_json(found["made_by"])
        if origin is not None:
            chain += origin.services
        if found["parent_id"] is None:
            break
        query = select(runs.c.service_id, runs.c.made_by, runs.c.parent_id)
        found = connection.execute(query.where(runs.c.id == found["parent_id"])).mappings().first()
    return tuple(chain[: MAX_DEPTH + 1])


def _loop_note(connection: Connection, row: triggers.TriggerRow, chain: Iterable[str]) -> str:
    """Name the workflows of a loop, in the order in which they start each other."""
    loop = [row["service_id"]]
    for service_id in chain:
        loop.append(service_id)
        if service_id == row["service_id"]:
            break

    query = select(workflows.c.id, workflows.c.name).where(workflows.c.id.in_(loop))
    names = {found.id: found.name for found in connection.execute(query)}
    path = " → ".join(quoted(names.get(service_id) or service_id, 60) for service_id in reversed(loop))
    return (
        f"Paused: workflows start each other without end ({path}), {MAX_DEPTH} deep so far. "
        "Change one of them, then resume this trigger."
    )


def describe_end(run: RowMapping) -> JsonObject:
    """The body of the run that the end of another run starts."""
    response: Any = run["response_json"]
    if response is None:
        response = run["response_content"]
    truncated = response is not None and len(json.dumps(response)) > MAX_RESPONSE
    return {
        "run_id": run["id"],
        "workflow_id": run["service_id"],
        "version": run["version"],
        "status": run["status"],
        "error": run["error"],
        "response_status": run["response_status"],
        "response": None if truncated else response,
        "response_truncated": truncated,
        "created_at": to_text(run["created_at"]),
        "completed_at": to_text(run["completed_at"]) if run["completed_at"] else None,
    }


def newest_end(
    connection: Connection, owner: str, service_id: str, statuses: Iterable[str]
) -> JsonObject | None:
    """The last run of a workflow that ended so, as the event that it would have been."""
    query = select(*_COLUMNS).where(
        runs.c.owner == owner, runs.c.service_id == service_id, runs.c.status.in_(list(statuses)),
        runs.c.completed_at.is_not(None),
    )  # fmt: skip
    newest = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(100)
    found = connection.execute(newest).mappings().all()
    run = next((row for row in found if row["mode"] not in _UNREPORTED), None)
    return describe_end(run) if run is not None else None
