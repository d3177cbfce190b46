"""Replays for which a deploy did not wait: they go on in the background, and the version's record says how they ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.errors.remedies import show_workflow
from codewords_mcp.runtime.api.behaviour import CHECK_ID, Behaviour, behaviour_of, replay_check
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.replays import ReplayApi
from codewords_mcp.runtime.api.test_gate import CHECK_ID as TESTS_ID
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.validation import Check
from codewords_mcp.runtime.runs.replay_verdicts import ReplayOrder
from codewords_mcp.runtime.store import workflows as rows
from codewords_mcp.runtime.store.clock import to_datetime

LATER_ID: Final = "replay later"
LIVE_ID: Final = "replay of the live version"
LOST_AFTER: Final = timedelta(minutes=15)
"""Time after a deploy at which replays that have not ended have lost their runtime."""
SHOWN: Final = frozenset({CHECK_ID, LATER_ID, TESTS_ID})
"""Checks of a version that tell how it was tried before it was live."""
_BROKEN_OFF: Final = (
    "Recorded runs that were left at the deploy were not replayed: the runtime ended meanwhile."
)
log = structlog.get_logger(__name__)


class LateReplays:
    """Replays what a deploy left, beside the version that was live before, and tells how it ended."""

    def __init__(self, container: Container, replays: ReplayApi) -> None:
        self._container = container
        self._replays = replays

    def start(self, caller: Caller, service_id: str, version: int, behaviour: Behaviour) -> None:
        """Begin in the background. The version is live, and its record has the check of `pending_check`."""
        work = self._finish(caller, service_id, version, behaviour)
        self._container.dispatcher.spawn(work, name=f"replays of {service_id}")

    async def warning(self, service_id: str, version: int) -> Check | None:
        """The warning that the live version did worse than agreed to, in replays that ended after its deploy."""
        row = await self._container.database.read(rows.version, service_id, version)
        for check in row.checks if row else []:
            if check["id"] == LATER_ID and check["status"] == "warning":
                text = f"Version {version}, which is live until now: {check['message']}"
                return Check(id=LIVE_ID, status="note", message=text)
        return None

    async def tried(self, service_id: str, version: int) -> list[Check]:
        """The checks that tell how a version was tried at its deploy and after it."""
        row = await self._container.database.read(rows.version, service_id, version)
        if row is None:
            return []
        checks = [Check.model_validate(check) for check in row.checks if check["id"] in SHOWN]
        return [_settled(check, to_datetime(row.created_at)) for check in checks]

    async def _finish(self, caller: Caller, service_id: str, version: int, behaviour: Behaviour) -> None:
        check = Check(id=LATER_ID, status="warning", message=_BROKEN_OFF)
        try:
            check = await self._replay(caller, service_id, version, behaviour)
        except CodewordsError as error:
            text = f"Recorded runs that were left at the deploy were not replayed: {error.message}"
            check = Check(id=LATER_ID, status="warning", message=text)
        finally:
            # Also where the runtime ends, which cancels this.
            row = check.model_dump(mode="json")
            self._container.database.write_with_retries(rows.change_check, service_id, version, row)
        await self._container.tell_changed(caller.owner, service_id)

    async def _replay(self, caller: Caller, service_id: str, version: int, behaviour: Behaviour) -> Check:
        servable = await self._container.catalog.version(caller.owner, service_id, version)
        if servable is None:
            # Deleted meanwhile, and its record with it.
            return Check(id=LATER_ID, status="note", message=_BROKEN_OFF)
        order = ReplayOrder(caller, servable, behaviour.left, against=behaviour.against)
        replay = await self._replays.carry_out(order, f"version {version}")
        assert replay.report is not None  # noqa: S101  # of a replay that has not failed
        found = behaviour_of(replay.report, behaviour.left, behaviour.against)

        check = replay_check(found, LATER_ID, f"Replays after the deploy ({replay.id})")
        new = [line for line in found.asks if line not in behaviour.asks]
        if found.left:
            text = f"{check.message} {len(found.left)} were not replayed within the time for all."
            check = check.model_copy(update={"message": text, "status": "note"})
        if new:
            log.warning("version worse in late replays", service_id=service_id, version=version)
            await self._container.recordings.pin(caller.owner, list(found.asking[:3]))
            remedy = show_workflow(service_id)
            text = f"WORSE than was agreed to at the deploy. {check.message}"
            update = {"message": text, "status": "warning", "fix": remedy.words, "remedy": remedy}
            return check.model_copy(update=update)
        return check


def pending_check(count: int) -> Check:
    """The check of a version while recorded runs are replayed in the background."""
    if count == 1:
        runs = "1 more recorded run is"
    else:
        runs = f"{count} more recorded runs are"
    return Check(
        id=LATER_ID,
        status="skipped",
        message=f"{runs} being replayed in the background; this record will say how that ended.",
    )


def _settled(check: Check, created_at: datetime) -> Check:
    """A pending check whose runtime was killed never gets its end."""
    if check.status != "skipped" or datetime.now(UTC) - created_at < LOST_AFTER:
        return check
    return check.model_copy(update={"status": "warning", "message": _BROKEN_OFF})
