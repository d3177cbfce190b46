"""How many runs may go on and wait at a time: of a key, a caller, a workflow, and the whole home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codewords_mcp.errors import TooBusy
from codewords_mcp.settings import Settings

Scope = Literal["key", "caller", "workflow", "home"]
OWN_SCOPES = ("key", "workflow", "home")
"""Those whose settings carry their name; the others are the caller's."""
NESTED_FACTOR = 2
"""Calls made by running workflows do not wait for a key, a caller or the home, whose slot their caller holds while it
waits for them; up to this many times the limit they start, and beyond it they are refused."""
RETRY_AFTER = 5
"""Seconds after which one who was turned away may come back."""
_SETTING: dict[Scope, str] = {
    "key": "CODEWORDS_KEY",
    "caller": "CODEWORDS",
    "workflow": "CODEWORDS_WORKFLOW",
    "home": "CODEWORDS_HOME",
}
_OF: dict[Scope, str] = {
    "key": "with this key",
    "caller": "of this caller",
    "workflow": "of this workflow",
    "home": "of this home",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """`runs` at once and `waiting` beside them, of one subject; None is no bound."""

    scope: Scope
    subject: str
    runs: int | None
    waiting: int | None

    @property
    def name(self) -> tuple[Scope, str]:
        """What it is counted under."""
        return self.scope, self.subject

    def most(self, *, nested: bool) -> int | None:
        """Runs at once. A workflow's own limit is the author's word and holds for nested runs too."""
        if self.runs is None or not nested or self.scope == "workflow":
            return self.runs
        return self.runs * NESTED_FACTOR

    def refusal(self, waiting: int) -> TooBusy:
        """The error of a run that would wait behind too many."""
        setting = _SETTING[self.scope]
        if self.scope == "workflow":
            own = " or the header's `concurrency` and `queue_limit`"
        else:
            own = ""

        return TooBusy(
            f"{waiting} runs {_OF[self.scope]} are waiting, which is the limit.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint=f"Try again in some seconds, or raise {setting}_CONCURRENCY, {setting}_QUEUE_LIMIT{own}.",
        )

    def too_nested(self, active: int) -> TooBusy:
        """The error of a call by a workflow that would start beyond what nested runs may."""
        return TooBusy(
            f"{active} runs {_OF[self.scope]} are active; workflows that call workflows may not start more.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint="Look for a workflow that calls itself without end.",
        )

    def waited(self, seconds: float) -> TooBusy:
        """The error of a run that somebody waits for and whose turn did not come in its time."""
        return TooBusy(
            f"Its turn did not come within {seconds:g} s: the runs {_OF[self.scope]} at once are {self.runs}.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint="Run it in the background (run_async), where it may wait as long as it takes.",
        )


@dataclass(frozen=True, slots=True)
class LimitScope:
    """What a run is counted on. `limits` begin with the narrowest; `nested`: a running workflow has called it."""

    owner: str
    key_id: str
    service_id: str
    limits: tuple[Limit, ...]
    nested: bool = False

    @property
    def group(self) -> tuple[str, str, str, bool]:
        """Runs that are alike: they wait for each other in order."""
        return self.owner, self.key_id, self.service_id, self.nested

    @property
    def line(self) -> str:
        """The name of their part of the durable line."""
        return f"{self.owner}/{self.key_id}/{self.service_id}"


def place_of(
    settings: Settings,
    owner: str,
    key_id: str | None,
    service_id: str,
    own: tuple[int | None, int | None],
    *,
    nested: bool,
) -> LimitScope:
    """The place of a run; `own` is what the workflow's header says: (runs, waiting)."""
    key, s = key_id or "", settings
    if own[0] is None:
        runs = s.workflow_concurrency
    else:
        runs = own[0]

    if own[1] is None:
        waiting = s.workflow_queue_limit
    else:
        waiting = own[1]

    limits = (
        Limit("key", f"{owner}/{key}", s.key_concurrency, s.key_queue_limit),
        Limit("workflow", service_id, runs, waiting),
        Limit("caller", owner, s.concurrency, s.queue_limit),
        Limit("home", "", s.home_concurrency, s.home_queue_limit),
    )
    bounded = tuple(one for one in limits if (one.runs, one.waiting) != (None, None))
    return LimitScope(owner, key, service_id, bounded, nested)
