"""The reason why a run waits without a sandbox, and what ends its wait. Nothing else decides this.

A run has a row for each of its waits (`run_waits`). Its program learns of the end of a wait when its call is answered: then the
wait is `taken`. `state_of` reads the state of a run from these rows alone, without any clock:

::

    none ──a call waits──▶ waiting ──answer, deadline, request, end of a called run──▶ over
      ▲                      ▲                                                          │
      │                      └──another wait is open──┐                                 │
      └────────────── no other wait is open ──────────┴── the call is answered (taken) ─┘

    event                               none                  waiting            over
    ──────────────────────────────────  ────────────────────  ─────────────────  ─────────────────
    the attempt gives its sandbox back  resumed               suspended          resumed
    the process of the attempt is lost  retried, interrupted  suspended          resumed
    a suspended run is looked at        resumed               stays suspended    resumed
    the runtime is started again        resumed               stays suspended    resumed

A suspended run in the state `none` is one whose wait ended in a way that nobody expected: it goes on, since nothing else would
end its wait. An attempt that suspends itself passes by the waits that were over before it began: its program had its chance
to ask for them, and asks again later. These are `taken` from then on, else the run would be resumed again and again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, get_args

from codewords_mcp.runtime.model.run_wait import WaitKind, WaitStatus

WaitState = Literal["none", "waiting", "over"]
"""`over`: a wait has ended, and the run does not know it yet."""


class WaitFacts(NamedTuple):
    """The columns of a wait that decide. `resumable`: its run may give its sandbox back meanwhile."""

    kind: WaitKind
    status: WaitStatus
    resumable: bool
    taken: bool

    @property
    def state(self) -> WaitState:
        """The state of a run that has this wait only."""
        if not self.resumable or self.status == "new":
            return "none"
        if self.status == "open":
            return "waiting"
        return "none" if self.taken else "over"


ALL: Final = tuple(
    WaitFacts(*values)
    for values in itertools.product(get_args(WaitKind), get_args(WaitStatus), (True, False), (True, False))
)
"""Every value of these columns: conditions of queries are made of them."""


def state_of(waits: Iterable[WaitFacts]) -> WaitState:
    """The state of a run with these waits. One that is over counts before those that are open."""
    states = {wait.state for wait in waits}
    if "over" in states:
        return "over"
    return "waiting" if "waiting" in states else "none"


def shown_reason(waits: Iterable[WaitFacts]) -> str:
    """The column `waits_for` of a suspended run: `answer` where a person can act, else `wait`."""
    is_question = any(wait.kind == "question" and wait.state == "waiting" for wait in waits)
    return "answer" if is_question else "wait"
