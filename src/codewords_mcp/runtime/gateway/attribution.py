"""Attribution of calls: the run that a key acts for, its parent runs, their workflows, and the
first caller.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import NamedTuple

from codewords_mcp.runtime.gateway.rules import NONE, Rules
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.recording.trace_context import TraceContext

DEEPEST = 32
"""Runs of a chain that a call is counted on. A deeper chain is counted on its nearest runs."""


class CallAttribution(NamedTuple):
    """Everything that a call is counted on.

    `runs` and `services` begin with the nearest. `key_id` is the first caller's; the home's own key
    has the id "".
    """

    owner: str
    key_id: str
    runs: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    limits: tuple[dict[str, float], ...] = ()
    """Budgets from `[tool.codewords.budget]` in the headers of `services`."""
    rules: Rules = NONE
    """Rules from the header of the nearest workflow."""
    trace: TraceContext | None = None
    """The span of the nearest run, where that is known."""


class CallChain:
    """Active runs by id, with the chain of runs above each.

    `on_end(run_id)` is called once no call is counted on a run any more. `prepare()` starts what a call of
    a model needs.
    """

    def __init__(self, on_end: Callable[[str], None], prepare: Callable[[], object]) -> None:
        self._alive: dict[str, CallAttribution] = {}
        self._late: dict[str, list[CallAttribution]] = {}
        self._on_end = on_end
        self.prepare = prepare

    def begin(
        self,
        run_id: str,
        caller: Caller,
        service_id: str,
        rules: Rules = NONE,
        above: CallAttribution | None = None,
        trace: TraceContext | None = None,
    ) -> None:
        """Add a recorded run, whose span is `trace`.

        `above`: attribution of its caller's calls, if the caller's run is active elsewhere.
        """
        parent = above or self.origin(caller)
        self._alive[run_id] = CallAttribution(
            caller.owner,
            parent.key_id,
            (run_id, *parent.runs)[:DEEPEST],
            (service_id, *parent.services)[:DEEPEST],
            (rules.budget, *parent.limits)[:DEEPEST],
            rules,
            trace,
        )

    def end(self, run_id: str) -> None:
        """Remove a run whose sandbox is gone. Idempotent."""
        if self._alive.pop(run_id, None) is not None:
            self._on_end(run_id)

    @contextmanager
    def late(self, run_id: str, origin: CallAttribution) -> Generator[None]:
        """Attribute calls of a run that has ended, or continues elsewhere, while the block runs."""
        # Several blocks may be open for one run.
        self._late.setdefault(run_id, []).append(origin)
        try:
            yield
        finally:
            self._late[run_id].remove(origin)
            if not self._late[run_id]:
                del self._late[run_id]
                # Its calls were counted until now.
                if run_id not in self._alive:
                    self._on_end(run_id)

    def knows(self, run_id: str) -> bool:
        """Whether the run is active here."""
        return run_id in self._alive

    def origin(self, caller: Caller) -> CallAttribution:
        """The attribution of a call by this caller."""
        if caller.run_id is not None:
            if alive := self._alive.get(caller.run_id):
                return alive
            if late := self._late.get(caller.run_id):
                return late[-1]
        return CallAttribution(caller.owner, caller.key_id or "", (caller.run_id,) if caller.run_id else ())
