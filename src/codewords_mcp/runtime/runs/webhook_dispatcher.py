"""Starts the runs of webhook deliveries. The log of deliveries is its list, so that a crash loses nothing.

A run is recorded under an idempotency key that follows from its delivery: a repeated delivery starts one
run.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from codewords_mcp.errors import CodewordsError, EnvironmentFailed, StorageFailed, TooBusy
from codewords_mcp.runtime.model.caller import Caller, MadeBy
from codewords_mcp.runtime.model.run import RunRequest, TriggerRef
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.dispatcher import RunDispatcher
from codewords_mcp.runtime.runs.poll_loop import PollLoop, finish_all
from codewords_mcp.runtime.store import alert_causes
from codewords_mcp.runtime.store import webhooks as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import DeliveryChange, DeliveryRow, StartedEntry, WebhookRow
from codewords_mcp.runtime.triggers.webhook_events import matches_filters

MAX_CONCURRENT = 8
POLL_INTERVAL, IDLE_POLL_INTERVAL = 3.0, 60.0
"""Seconds between looks of its own accord, where others of the database may have left something, and where nobody can."""
SPACING = 0.05
"""Seconds at the least: what is due may be another's just now."""
LEASE = 5.0
"""Seconds for which what is being delivered is nobody else's. Who takes longer is helped, which starts nothing twice."""
TRIES = 8
FIRST_PAUSE = 2.0
"""Seconds before the second try, doubled before each further one: all tries take some four minutes."""
# These pass by themselves; any other fault would be the same at the next try.
_AGAIN = (TooBusy, StorageFailed, EnvironmentFailed)


class WebhookDispatcher(PollLoop):
    """`armed`: there are webhooks, so that something may come. `on_failure` is called where one starts no run."""

    def __init__(
        self, database: Database, dispatcher: RunDispatcher, on_failure: Callable[[], object]
    ) -> None:
        super().__init__("what came by webhooks is not delivered", POLL_INTERVAL)
        self._on_failure = on_failure
        self._db = database
        self._dispatcher = dispatcher

    async def poll(self) -> float:
        """See `PollLoop`."""
        while (pause := await self._until_next()) <= 0 and await self.deliver():
            pass
        return max(pause, SPACING)

    async def _until_next(self) -> float:
        self.armed = await self._db.read(rows.are_any)
        due, longest = (
            await self._db.read(rows.next_due),
            POLL_INTERVAL if self._db.shared else IDLE_POLL_INTERVAL,
        )
        if due is None:
            return longest
        return min((due - now()) / 1e6, longest)

    async def deliver(self) -> int:
        """Deliver some of what is due; how many."""
        at = now()
        taken = await self._db.write(lambda c: rows.take_due(c, at, at + int(LEASE * 1e6), MAX_CONCURRENT))
        await finish_all(map(self._deliver, taken))
        return len(taken)

    async def _deliver(self, row: DeliveryRow) -> None:
        hooks = await self._db.read(rows.at_endpoint, row["endpoint"])
        matching = [
            hook
            for hook in hooks
            if matches_filters(hook["kind"], hook["filters"], row["event"], row["about"])
        ]
        if not matching:
            if hooks:
                why = "No webhook is for such an event."
            else:
                why = "There is no webhook at its address any more."

            await self._settle(row, {"status": "ignored", "reason": why})
            return

        active = [hook for hook in matching if not hook["paused"]]
        if not active:
            await self._settle(row, {"status": "paused", "reason": "Its webhook is paused."})
            return

        runs = list(row["runs"])
        faults: list[CodewordsError] = []
        for hook in active:
            try:
                run_id = await self._dispatcher.start(_request(row, hook))
            except CodewordsError as error:
                faults.append(error)
                continue

            started: StartedEntry = {"webhook_id": hook["id"], "run_id": run_id, "round": row["round"]}
            # A try that is repeated finds the run that its idempotency key has started.
            if started not in runs:
                runs.append(started)

        outcome = _outcome(row, faults, len(matching) - len(active))
        await self._settle(row, {"runs": runs, **outcome}, matching[0]["service_id"])

    async def _settle(self, row: DeliveryRow, values: DeliveryChange, service_id: str | None = None) -> None:
        def settle(connection: Connection) -> None:
            rows.change(connection, row["id"], values)
            if values.get("status") == "failed":
                # In the transaction of the failure, so that a crash loses no alert.
                detail = {name: row[name] for name in ("owner", "endpoint")}
                detail |= {"service_id": service_id, "reason": values.get("reason", "")}
                cause = f"delivery {row['id']}/{row['round']}"
                alert_causes.note(connection, cause, "delivery_failed", detail)

        await self._db.write(settle)
        if values.get("status") == "failed":
            self._on_failure()


def _outcome(row: DeliveryRow, faults: list[CodewordsError], paused: int) -> DeliveryChange:
    """The columns after a try; `paused` counts the webhooks of the event that were left out for it."""
    reason = "; ".join(dict.fromkeys(str(fault) for fault in faults))[:1000]
    if not faults:
        if paused:
            left_out = f"Webhooks left out because they are paused: {paused}."
        else:
            left_out = ""
        return {"status": "started", "reason": left_out}
    tries = row["tries"] + 1
    # The whole delivery is tried again: runs that have started are found by their keys.
    if tries < TRIES and any(isinstance(fault, _AGAIN) for fault in faults):
        pause = FIRST_PAUSE * 2 ** (tries - 1)
        return {"tries": tries, "due_at": now() + int(pause * 1e6), "reason": reason}
    return {"status": "failed", "tries": tries, "reason": reason}


def _request(row: DeliveryRow, hook: WebhookRow) -> RunRequest:
    headers = [
        (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
        for name, value in row["headers"].items()
    ]
    headers += [
        (b"content-length", str(row["size"]).encode()),
        (b"x-webhook-id", str(hook["id"]).encode()),
        (b"x-webhook-delivery", str(row["id"]).encode()),
        (b"x-webhook-event", str(row["event"]).encode("latin-1", "replace")),
    ]
    path, _, query = str(hook["path"]).partition("?")
    sender = MadeBy.from_json(row["made_by"])

    return RunRequest(
        hook["service_id"],
        "POST",
        path,
        query.encode(),
        headers,
        replayed(row["body"]),
        Caller(row["owner"], "user", key_id=hook["key_id"] if sender is None else sender.key_id),
        correlation_id=row["id"],
        made_by=sender or MadeBy.from_json(hook["made_by"]),
        # The round differs in a delivery that a person sends again, so that it starts new runs.
        idempotency_key=f"{row['id']}/{row['round']}/{hook['id']}",
        trigger=TriggerRef(kind="webhook", id=hook["id"], event=row["id"]),
    )
