"""The runs that this process carries out now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from codewords_mcp.common.quiet_collection import collect_if_due
from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.auth.agreements import Agreements
from codewords_mcp.runtime.auth.authorities import Authorities
from codewords_mcp.runtime.gateway.attribution import CallAttribution, CallChain
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.events import CallRefused, EventBus, RunChanged, RunLeft
from codewords_mcp.runtime.model.run import FINISHED, RunRequest
from codewords_mcp.runtime.model.run_state import released
from codewords_mcp.runtime.recording.trace_context import context_of_run
from codewords_mcp.runtime.runs.events import RunEvents
from codewords_mcp.runtime.runs.launcher import LaunchConfig
from codewords_mcp.runtime.runs.run_logs import Journal
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.database import Database

T = TypeVar("T")


class ActiveRun(Protocol):
    """A run that this process carries out."""

    run_id: str
    correlation_id: str
    depth: int
    key_id: str | None
    settled: asyncio.Event
    task: asyncio.Task[None] | None

    @property
    def scrubber(self) -> Scrubber | None:
        """Removes the secrets of the run's program from output."""
        ...

    @property
    def request(self) -> RunRequest:
        """The request that it carries out."""
        ...

    def cancel(self, why: str) -> None:
        """End the run soon; wait for `settled` and the task."""
        ...

    def fail(self, error: CodewordsError) -> None:
        """End the run soon, with this error. The same as `cancel` else."""
        ...

    def stop(self) -> None:
        """The runtime is ending: end the run soon, so that it can be resumed elsewhere where that is possible."""
        ...


class RunRegistry:
    """Active runs by id, their tasks, and the phase that this process is in. `executor` names this process start."""

    def __init__(
        self,
        executor: str,
        *,
        database: Database,
        journal: Journal,
        call_chain: CallChain,
        authorities: Authorities,
        agreements: Agreements,
        events: RunEvents,
        bus: EventBus,
    ) -> None:
        self.executor = executor
        self.active: dict[str, ActiveRun] = {}
        self.tasks: set[asyncio.Task[object]] = set()
        self.draining = False
        """The runtime is about to end: foreground runs are served, and nothing in the background begins here."""
        self.paused_at: int | None = None
        """Time at which this home was restored from a backup, in µs: earlier runs wait until a person resumes it."""
        self.accepts_foreground = True
        """Runs whose caller waits begin here."""
        self.submissions = 0
        """Requests on their way to a run: not among the active ones yet, and no reason to end."""
        self.last_activity = time.monotonic()
        self._db = database
        self._journal = journal
        self._call_chain = call_chain
        self._authorities = authorities
        self._agreements = agreements
        self._events = events
        bus.subscribe(CallRefused, self._log_refusal)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task that counts as activity."""
        task = asyncio.create_task(coroutine, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def fail_chain(self, run_id: str, error: CodewordsError) -> None:
        """End a run and the runs above it that are active here, with this error."""
        for one in self._call_chain.origin(Caller("", "run", run_id=run_id)).runs:
            if active := self.active.get(one):
                active.fail(error)

    def enter(self, run: ActiveRun, life: Coroutine[Any, Any, None]) -> None:
        """Start the run's task `life`; the run is active until `leave`."""
        self.active[run.run_id] = run
        run.task = self.spawn(life, name=f"run {run.run_id}")
        self._events.publish(RunChanged(run.run_id))

    def leave(self, run_id: str) -> None:
        """Remove a run that is no longer active here: it has ended, or this process has released it."""
        self.active.pop(run_id, None)
        self._events.publish(RunLeft(run_id))
        self._call_chain.end(run_id)
        self._authorities.end(run_id)

        if self._db.shared:
            # followers on other replicas wait for this: no log line comes any more
            self._db.write_with_retries(
                rows.change, run_id, released(), only_from=tuple(FINISHED), holder=self.executor
            )

        self._journal.notify(run_id)
        self._events.publish(RunChanged(run_id))
        self.last_activity = time.monotonic()
        # Those that have their response only wait for their sandbox to end.
        if not self.submissions and all(run.settled.is_set() for run in self.active.values()):
            collect_if_due()

    def grant_authority(
        self, run_id: str, request: RunRequest, config: LaunchConfig, above: CallAttribution | None = None
    ) -> None:
        """Attribute calls with the run's key to the run, and check them against its manifest."""
        servable, caller = config.servable, request.caller
        trace = context_of_run(run_id, request.trace_parent)
        self._call_chain.begin(run_id, caller, servable.service_id, servable.rules, above, trace)

        permissions, hosts = servable.permissions, config.egress
        # The owner may have withdrawn the agreement since the run took its version.
        if not self._agreements.holds(caller.owner, permissions):
            permissions, hosts = permissions.nothing(), ()
        self._authorities.begin(run_id, caller.owner, permissions, hosts)

        # What model calls need is loaded while the sandbox starts, where there are any.
        if servable.manifest.models:
            self._call_chain.prepare()

    def scrubbers_above(self, caller: Caller) -> list[Scrubber]:
        """The scrubber of the calling run, if it is active here: a caller may pass its secrets on in its request."""
        parent = self.active.get(caller.run_id or "")
        if parent is not None and parent.scrubber:
            return [parent.scrubber]
        return []

    def _log_refusal(self, event: CallRefused) -> None:
        if run_log := self._journal.live(event.run_id):
            run_log.refused(event.message)
