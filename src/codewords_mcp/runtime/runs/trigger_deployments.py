"""Sets up at others what event sources need there, and takes it down: the triggers that a broker runs.

::

    trigger added ──▶ row `new` ──▶ `sent` ──▶ `on`: the source is looked at ◀──▶ `off`: the trigger is paused
                                       │                │
        found by its fields after a ◀──┘                └──▶ target `gone`: removed there, then here
        process ended in between

The target of each row follows from its trigger, whoever changes that: one that is paused, removed, whose workflow is deleted
or that has other options. Steps that fail are tried again until nothing is left there.
docs/design/075-deployed-triggers.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from pydantic import ValidationError
from sqlalchemy import Connection
from typing_extensions import override

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.common.json_parts import object_of
from codewords_mcp.errors import CodewordsError, Forbidden, InvalidInput, NotConnected, NotFound, TooBusy
from codewords_mcp.runtime.runs.poll_loop import PollLoop, finish_all
from codewords_mcp.runtime.store import trigger_deployments as rows
from codewords_mcp.runtime.store import triggers
from codewords_mcp.runtime.store.clock import to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.trigger_deployments import DeploymentChange, DeploymentRow
from codewords_mcp.runtime.store.triggers import TriggerChange, TriggerRow
from codewords_mcp.runtime.triggers.sources.base import DeployedSource, SourceTools
from codewords_mcp.runtime.triggers.sources.registry import deployed_kinds, find_source

INTERVAL: Final = 30.0
"""Seconds between looks at the triggers of its own accord."""
LEASE: Final = 300.0
BATCH: Final = 8
FIRST_PAUSE, LONGEST_PAUSE = 2.0, 3600.0
"""Seconds before a failed step is tried again, doubled before each further one."""
STOP_AFTER: Final = 10
"""Failures in a row after which a trigger that can't be deployed is paused."""
FORCE_AFTER: Final = 3
"""Failures in a row after which a trigger is removed although its app does not let go of it."""
LIST_DELAY: Final = 60.0
"""Seconds after which the broker lists whatever a request made whose answer was lost."""
log = structlog.get_logger(__name__)


class TriggerDeployments(PollLoop):
    """Deploys triggers. `address(id)` is the public address of a deployment, None where the runtime has none.

    `on_ready` is called when a source can be looked at, `on_failure` when a person is to be told.
    """

    def __init__(
        self,
        database: Database,
        tools: Callable[[str], SourceTools],
        address: Callable[[str], str | None],
        *,
        on_ready: Callable[[], object],
        on_failure: Callable[[], object],
        list_delay: float = LIST_DELAY,
    ) -> None:
        super().__init__("deployed triggers are not looked at", FIRST_PAUSE)
        self._db = database
        self._tools = tools
        self._address = address
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._list_delay = list_delay
        self._opened = False

    @override
    async def poll(self) -> float:
        if not self._opened:
            # On a database of its own, claims are those of a process that has ended.
            if not self._db.shared:
                await self._db.write(rows.release_claims)
            await self._note_addresses()
            self._opened = True

        kinds = deployed_kinds()
        if not await self._db.read(rows.is_reconciled, kinds):
            await self._db.write(lambda connection: rows.reconcile(connection, kinds, clock(connection)))

        while due := await self._claim():
            await finish_all(map(self._settle, due))

        next_at, at = await self._db.read(lambda connection: (rows.next_due(connection), clock(connection)))
        self.armed = next_at is not None
        if next_at is None:
            return INTERVAL
        return min(max((next_at - at) / 1e6, 0.05), INTERVAL)

    async def account_removed(self, owner: str, account: str) -> None:
        """Take down what was deployed for an account, and pause its triggers."""

        def remove(connection: Connection) -> int:
            return rows.account_removed(connection, owner, account, clock(connection))

        if await self._db.write(remove):
            self.wake()

    async def trigger_of(self, deployment_id: str) -> str | None:
        """Return the trigger whose events an address is told of; None for an address of another kind."""
        if not deployment_id.startswith(rows.PREFIX):
            return None
        row = await self._db.read(rows.get, deployment_id)
        if row is not None and row.target != "gone":
            return row.trigger_id
        return None

    async def _note_addresses(self) -> None:
        """Have addresses set again where the runtime's own is another one now."""

        def compare(connection: Connection) -> None:
            other = [name for name, address in rows.working(connection) if address != self._address(name)]
            rows.other_address(connection, other, clock(connection))

        await self._db.write(compare)

    async def _claim(self) -> list[DeploymentRow]:
        if await self._db.read(rows.next_due) is None:
            return []

        def claim(connection: Connection) -> list[DeploymentRow]:
            return rows.claim_due(connection, clock(connection), int(LEASE * 1e6), BATCH)

        return await self._db.write(claim)

    async def _settle(self, row: DeploymentRow) -> None:
        """Do the next step for a deployment. A failure is tried again later."""
        try:
            await self._step(row, cast("DeployedSource[Any]", find_source(row.kind)), self._tools(row.owner))
        except TooBusy as error:
            await self._retry_later(row, error, float(error.retry_after))
        except CodewordsError as error:
            await self._retry_later(row, error, 0.0)
        except Exception as error:
            # A fault of one must not stop the others.
            log.exception("a trigger was not deployed", trigger=row.trigger_id)
            await self._retry_later(row, error, 0.0)

    async def _step(self, row: DeploymentRow, source: DeployedSource[Any], tools: SourceTools) -> None:
        if row.remote_id is None:
            if row.target == "on":
                await self._deploy(row, source, tools)
            else:
                await self._find_lost(row, source, tools)
        elif row.target == "gone":
            await self._remove(row, row.remote_id, source, tools)
        elif row.target == "off":
            await self._set_active(row, row.remote_id, source, tools, active=False)
        else:
            await self._set_active(row, row.remote_id, source, tools, active=True)

    async def _deploy(self, row: DeploymentRow, source: DeployedSource[Any], tools: SourceTools) -> None:
        """Deploy, unless a request before this one did so and its answer was lost."""
        if row.status == "sent":
            remote = await self._lost(row, source, tools)
            if remote is not None:
                await self._deployed(row, remote)
                return
            if await self._may_be_listed_later(row):
                return

        try:
            prepared = await source.prepare(source.Options.model_validate(row.options), tools)
        except ValidationError:
            raise NotFound(
                "The options of this trigger do not fit its source any more. Set them again."
            ) from None
        account = prepared.get("account")

        # Before the request: its answer may be lost.
        def send(connection: Connection) -> None:
            values: DeploymentChange = {
                "prepared": prepared,
                "account": account if isinstance(account, str) else None,
                # On record before the request: if its answer is lost, the next step looks for what
                # it made.
                "status": "sent",
                "sent_at": clock(connection),
            }
            rows.change(connection, row.id, values)

        await self._db.write(send)
        await self._deployed(row, await source.deploy(prepared, tools))

    async def _lost(self, row: DeploymentRow, source: DeployedSource[Any], tools: SourceTools) -> str | None:
        """Return what an earlier request deployed."""
        if row.prepared is None or row.sent_at is None:
            return None
        known = await self._db.read(rows.known_ids, row.owner, row.id)
        return await source.find(row.prepared, to_datetime(row.sent_at), known, tools)

    async def _may_be_listed_later(self, row: DeploymentRow) -> bool:
        """Whether the answer of the broker is too early to believe that it has nothing; then it is asked again later."""

        def wait(connection: Connection) -> bool:
            # The broker lists what it made with a delay: an empty list proves nothing before.
            until = (row.sent_at or 0) + int(self._list_delay * 1e6)
            if clock(connection) >= until:
                return False
            rows.change(connection, row.id, {"due_at": until, "claimed_until": None})
            return True

        return await self._db.write(wait)

    async def _deployed(self, row: DeploymentRow, remote: str) -> None:
        """Note a deployed trigger. The next step switches it on, sets its address, or removes it."""

        def note(connection: Connection) -> None:
            values: DeploymentChange = {
                "remote_id": remote, "status": "off", "due_at": clock(connection), "claimed_until": None,
                "tries": 0, "problem": "",
            }  # fmt: skip
            rows.change(connection, row.id, values)
            trigger = _trigger_of(connection, row)
            if trigger is not None:
                # All that it emits is new, since nothing was emitted before it was there.
                state: JsonObject = {"seen": "", **object_of(trigger["state"]), "deployed": remote}
                triggers.change(connection, row.trigger_id, {"state": state})

        await self._db.write(note)

    async def _find_lost(self, row: DeploymentRow, source: DeployedSource[Any], tools: SourceTools) -> None:
        """Forget what was not deployed; of an unanswered request find first what it made, to remove that."""
        remote = None
        if row.status == "sent":
            remote = await self._lost(row, source, tools)
            if remote is None and await self._may_be_listed_later(row):
                return
        if remote is None:
            await self._db.write(rows.remove, row.id)
        else:
            await self._deployed(row, remote)

    async def _remove(
        self, row: DeploymentRow, remote: str, source: DeployedSource[Any], tools: SourceTools
    ) -> None:
        try:
            await source.remove(remote, tools, forced=row.tries >= FORCE_AFTER)
        except NotFound:
            log.info("deployed trigger was gone", trigger=row.trigger_id)
        await self._db.write(rows.remove, row.id)

    async def _set_active(
        self,
        row: DeploymentRow,
        remote: str,
        source: DeployedSource[Any],
        tools: SourceTools,
        *,
        active: bool,
    ) -> None:
        """Switch a deployed trigger on or off. One that is gone there is deployed anew."""
        address = self._address(row.id) if active else row.address
        try:
            if (row.status == "on") is not active:
                await source.set_active(remote, tools, active=active)
            if address != row.address:
                await source.set_address(remote, address, tools)
        except NotFound:
            # The next poll finds the trigger without a deployment, and makes a new one.
            await self._db.write(rows.remove, row.id)
            self.wake()
            return

        def note(connection: Connection) -> None:
            current = rows.get(connection, row.id)
            # The target may be another one by now.
            settled = current is not None and current.target == row.target
            values: DeploymentChange = {
                "status": "on" if active else "off",
                "address": address,
                "claimed_until": None,
                "tries": 0,
                "problem": "",
            }
            if settled:
                values["due_at"] = None
            rows.change(connection, row.id, values)
            if active:
                _begin_looks(connection, row, remote)

        await self._db.write(note)
        if active:
            self._on_ready()

    async def _retry_later(self, row: DeploymentRow, error: Exception, retry_after: float) -> None:
        problem = (
            str(error)[:1000] if isinstance(error, CodewordsError) else "It failed in an unexpected way."
        )
        # Being asked to wait is no failure, so it never pauses the trigger.
        counts = not isinstance(error, TooBusy)
        tries = row.tries + counts

        def note(connection: Connection) -> bool:
            at = clock(connection)
            pause = min(max(FIRST_PAUSE * 2 ** min(tries, 12), retry_after), LONGEST_PAUSE)
            values: DeploymentChange = {
                "due_at": at + int(pause * 1e6), "claimed_until": None, "tries": tries, "problem": problem,
            }  # fmt: skip
            rows.change(connection, row.id, values)
            if row.target != "on":
                return False
            trigger = _trigger_of(connection, row)
            if trigger is None:
                return False

            triggers.change(connection, row.trigger_id, {"failures": tries, "problem": problem})
            # A fault that does not pass by itself would be the same at each further try.
            if tries >= STOP_AFTER or (counts and not _passes(error)):
                triggers.stop(connection, trigger, f"Paused, since it could not be deployed: {problem}", at)
                return True
            return False

        log.warning("deployed trigger not settled", trigger=row.trigger_id, target=row.target, reason=problem)
        if await self._db.write(note):
            self._on_failure()
            self.wake()


def _begin_looks(connection: Connection, row: DeploymentRow, remote: str) -> None:
    """Let the source of a deployed trigger be looked at from now on."""
    trigger = _trigger_of(connection, row)
    if trigger is None:
        return
    values: TriggerChange = {
        "state": {**object_of(trigger["state"]), "deployed": remote},
        "next_at": clock(connection),
        "failures": 0,
        "problem": "",
        # A look that goes on must not write an earlier state.
        "claim": trigger["claim"] + 1,
        "claimed_until": None,
    }
    triggers.change(connection, row.trigger_id, values)


def _trigger_of(connection: Connection, row: DeploymentRow) -> TriggerRow | None:
    """Lock the active trigger that a deployment serves; None where it is gone, paused or has other options."""
    trigger = triggers.lock(connection, row.trigger_id)
    if trigger is None or trigger["paused"] or trigger["options"] != row.options:
        return None
    return trigger


def _passes(error: Exception) -> bool:
    """Whether a failure may pass by itself, so that the same step is tried again."""
    return not isinstance(error, InvalidInput | NotFound | NotConnected | Forbidden)
