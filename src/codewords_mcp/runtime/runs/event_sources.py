"""The event sources of a home: what they use, the loop that looks at them, and the one that starts runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import EventBus, RunLeft, TriggersChanged
from codewords_mcp.runtime.runs.dispatcher import RunDispatcher
from codewords_mcp.runtime.runs.poll_loop import PollLoop
from codewords_mcp.runtime.runs.source_tools import SourceParts
from codewords_mcp.runtime.runs.trigger_deployments import TriggerDeployments
from codewords_mcp.runtime.runs.trigger_dispatcher import TriggerDispatcher
from codewords_mcp.runtime.runs.trigger_poller import TriggerPoller
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.triggers.event_triggers import TriggerService


class EventSources:
    """`parts` is what sources use, `triggers` are the owners' triggers. `address` is that of `TriggerDeployments`.

    `join` it with what starts runs before its `loops` run.
    """

    def __init__(
        self,
        database: Database,
        parts: SourceParts,
        events: EventBus,
        *,
        limit: int,
        admit: Callable[[Caller, str], Awaitable[None]],
        address: Callable[[str], str | None],
    ) -> None:
        self.parts = parts
        self.triggers = TriggerService(
            database,
            limit=limit,
            tools=parts.tools,
            on_change=lambda: events.publish(TriggersChanged()),
            admit=admit,
        )
        self._db = database
        self._events = events
        self._address = address
        self._poller: TriggerPoller | None = None
        self._deployments: TriggerDeployments | None = None
        self.loops: tuple[PollLoop, ...] = ()

    @property
    def armed(self) -> bool:
        """Whether a trigger is active, or one has to be taken down."""
        loops = (self._poller, self._deployments)
        return any(loop is not None and loop.armed for loop in loops)

    def join(self, dispatcher: RunDispatcher, on_failure: Callable[[], object]) -> None:
        """Make the loops. `on_failure` is called when a person is to be told of something."""
        starter = TriggerDispatcher(self._db, dispatcher, on_failure)
        poller = TriggerPoller(self._db, self.parts.tools, on_events=starter.wake, on_failure=on_failure)

        deployments = TriggerDeployments(
            self._db, self.parts.tools, self._address, on_ready=poller.wake, on_failure=on_failure
        )

        def changed(_: TriggersChanged) -> None:
            poller.wake()
            starter.watchers_changed()
            deployments.wake()

        self._events.subscribe(TriggersChanged, changed)
        self._events.subscribe(RunLeft, lambda _: starter.run_ended())
        self._poller, self._deployments = poller, deployments
        self.loops = (poller, starter, deployments)

    async def account_removed(self, owner: str, account: str) -> None:
        """Take down what was deployed for an account, and pause its triggers."""
        if self._deployments is not None:
            await self._deployments.account_removed(owner, account)

    async def ring(self, address: str) -> bool:
        """Look at the source whose deployment was given this address; False for an address of another kind."""
        if self._deployments is None or self._poller is None:
            return False
        trigger_id = await self._deployments.trigger_of(address)
        if trigger_id is None:
            return False
        await self._poller.ring(trigger_id)
        return True
