"""Cancellation of runs: where each kind of run is found, and how its task ends.

::

    a caller asks (`RunCanceller.cancel`) ──┬─ active here ──────▶ ActiveRun.cancel ──▶ cancel_until_done
    a caller hangs up (`Execution.hang_up`) ┘                       │
    the runtime stops (`ActiveRun.stop`) ───────────────────────────┘
                                            ├─ waits, no executor ─▶ withdrawn: its record ends, its queue entry goes
                                            ├─ provisioned ────────▶ its record ends
                                            └─ another process ────▶ `cancel_asked`; its next round cancels it there
                                                                     (`replica.py`), or the recovery if it is dead

* `attempt.py` ends a run of a workflow: its sandbox is killed, its record settled as cancelled, or as
  interrupted where the runtime stops.
* `background_run.py` ends the attempts of a background run. One that is stopped before its end goes back to
  the queue.
* `service_calls.py` ends a call of a library service that somebody can find.
* Runs that a cancelled run has started are cancelled after it.

A cancelled task may not have started: then it never runs at all, nor its `finally`. And the thing that a run
awaits may take a cancellation for its own (`asyncio.wait_for` of Python 3.11 drops one that comes together
with its result). Either left a run behind that nobody could cancel any more, so a cancellation is repeated
until the run ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from codewords_mcp.errors import Conflict
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import CancelRequested
from codewords_mcp.runtime.model.run import FINISHED, Run
from codewords_mcp.runtime.model.run_state import to_finished
from codewords_mcp.runtime.store import executors, run_chain
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now

if TYPE_CHECKING:
    from codewords_mcp.runtime.runs.context import RunDependencies

CANCEL_AGAIN = 2.0
"""Seconds after which a run that is not ending yet is cancelled once more. What a cancelled run has to clean up before it
counts as ending takes some milliseconds."""
CANCEL_TIMEOUT = 30.0
"""Seconds that a cancel waits for the sandbox's end."""
CANCEL_POLL = 0.25
"""Seconds between looks at a run that another process is to cancel."""


def cancel_until_done(try_cancel: Callable[[], bool]) -> None:
    """Call `try_cancel` when every task made until now has started, then every `CANCEL_AGAIN` seconds while it returns True."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        if try_cancel():
            loop.call_later(CANCEL_AGAIN, once)

    loop.call_soon(once)  # behind the first step of a task that was made before


class RunCanceller:
    """Cancels runs wherever they are.

    `find` raises NotFound. `withdraw(run_id)` takes a run that waits out of the queue, if nobody has it.
    """

    def __init__(
        self,
        context: RunDependencies,
        find: Callable[[Caller, str], Awaitable[Run]],
        withdraw: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._context = context
        self._db = context.database
        self._find = find
        self._withdraw_queued = withdraw

    async def cancel(self, caller: Caller, run_id: str) -> Run:
        """End a run; its sandbox is gone when this returns. Raises NotFound, Conflict."""
        run = await self._find(caller, run_id)
        if run.status in FINISHED:
            raise Conflict(f"The run {run_id} has already ended ({run.status}).")

        await self._cancel(run)
        # Only now: a run that still goes on could start further ones behind this read.
        for descendant in await self._db.read(run_chain.unfinished_descendants, run_id):
            with suppress(Conflict):  # it ended by itself
                await self.cancel(caller, descendant)

        ended = await self._find(caller, run_id)
        if ended.status in FINISHED and ended.status != "cancelled":  # it came to its own end meanwhile
            raise Conflict(f"The run {run_id} has already ended ({ended.status}).")

        return ended

    async def _cancel(self, run: Run) -> None:
        """End it wherever it is; it may be on its way from the queue to a process, or be another's."""
        deadline = time.monotonic() + CANCEL_TIMEOUT
        while run.status not in FINISHED and time.monotonic() < deadline:
            active = self._context.registry.active.get(run.id)
            if active is not None and active.task is not None:
                active.cancel("it was asked to")
                await asyncio.wait({active.task}, timeout=CANCEL_TIMEOUT)
                # where this process was releasing it at the same moment, it waits for another now
            elif await self._withdraw(run):
                return
            else:
                await self._request_cancel(run.id)

            run = await self._find(Caller(run.owner, "user"), run.id)

    async def _withdraw(self, run: Run) -> bool:
        """Cancel a run that nobody has started. Returns False if a process holds it."""
        if run.status == "provisioned":
            ended = to_finished("cancelled", None, now())
            return await self._db.write(rows.change, run.id, ended, only_from=("provisioned",))
        return await self._withdraw_queued(run.id)

    async def _request_cancel(self, run_id: str) -> None:
        """Ask the process that holds the run to cancel it, and wait a little for a change."""
        events = self._context.events
        # Subscribed before the request is written, so that its effect is not missed.
        with events.subscribe(run_id) as changed:
            if await self._db.write(executors.request_cancel, run_id):
                events.publish(CancelRequested(run_id))
                with suppress(TimeoutError):
                    async with asyncio.timeout(CANCEL_POLL):
                        await changed.wait()
