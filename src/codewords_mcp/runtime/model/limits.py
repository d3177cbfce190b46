"""Limits of running and queued runs: per key, caller, workflow, and for the whole home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codewords_mcp.errors import TooBusy
from codewords_mcp.settings import Settings

Scope = Literal["key", "caller", "workflow", "home"]
OWN_SCOPES = ("key", "workflow", "home")
"""Scopes whose settings carry their name. The other settings are the caller's."""
NESTED_FACTOR = 2
"""Nested runs may exceed the limits of key, caller and home up to this factor, and are refused
beyond it.

They are not queued there: their parent occupies a slot while it waits for them, so queueing could
deadlock.
"""
RETRY_AFTER = 5
"""Seconds after which a refused caller may retry."""
_SETTING: dict[Scope, str] = {
    "key": "CODEWORDS_KEY",
    "caller": "CODEWORDS",
    "workflow": "CODEWORDS_WORKFLOW",
    "home": "CODEWORDS_HOME",
}
_SUBJECT: dict[Scope, str] = {
    "key": "with this key",
    "caller": "of this caller",
    "workflow": "of this workflow",
    "home": "of this home",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `runs` at once and `waiting` in the queue, for one subject. None is unlimited."""

    scope: Scope
    subject: str
    runs: int | None
    waiting: int | None

    @property
    def name(self) -> tuple[Scope, str]:
        """The key under which runs are counted."""
        return self.scope, self.subject

    def max_runs(self, *, nested: bool) -> int | None:
        """Maximum concurrent runs. The workflow limit is set by its author and applies to nested
        runs too.
        """
        if self.runs is None or not nested or self.scope == "workflow":
            return self.runs
        return self.runs * NESTED_FACTOR

    def refusal(self, waiting: int) -> TooBusy:
        """The error for a run that would exceed the queue limit."""
        setting = _SETTING[self.scope]
        if self.scope == "workflow":
            own = " or the header's `concurrency` and `queue_limit`"
        else:
            own = ""

        return TooBusy(
            f"{waiting} runs {_SUBJECT[self.scope]} are waiting, which is the limit.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint=f"Try again in some seconds, or raise {setting}_CONCURRENCY, {setting}_QUEUE_LIMIT{own}.",
        )

    def too_nested(self, active: int) -> TooBusy:
        """The error for a workflow's call beyond the limit of nested runs."""
        return TooBusy(
            f"{active} runs {_SUBJECT[self.scope]} are active; workflows that call workflows may not start more.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint="Look for a workflow that calls itself without end.",
        )

    def waited(self, timeout: float) -> TooBusy:
        """The error for a run that got no slot within its caller's timeout."""
        return TooBusy(
            f"Timed out after {timeout:g} s in the queue: the limit of {self.runs} concurrent runs {_SUBJECT[self.scope]} "
            "is in use.",
            retry_after=RETRY_AFTER,
            limit=self.scope,
            hint="Run it in the background (run_async): there it may wait without a timeout.",
        )


@dataclass(frozen=True, slots=True)
class LimitScope:
    """The limits that apply to a run. `limits` begin with the narrowest; `nested`: a running
    workflow called it.
    """

    owner: str
    key_id: str
    service_id: str
    limits: tuple[Limit, ...]
    nested: bool = False

    @property
    def group(self) -> tuple[str, str, str, bool]:
        """The key of equivalent runs. They are started in order."""
        return self.owner, self.key_id, self.service_id, self.nested

    @property
    def queue_name(self) -> str:
        """The name of their part of the durable queue."""
        return f"{self.owner}/{self.key_id}/{self.service_id}"


def limit_scope(
    settings: Settings,
    owner: str,
    key_id: str | None,
    service_id: str,
    own: tuple[int | None, int | None],
    *,
    nested: bool,
) -> LimitScope:
    """The limits of a run. `own` are those of the workflow's header: (runs, waiting)."""
    key = key_id or ""
    runs, waiting = own
    if runs is None:
        runs = settings.workflow_concurrency
    if waiting is None:
        waiting = settings.workflow_queue_limit

    limits = (
        Limit("key", f"{owner}/{key}", settings.key_concurrency, settings.key_queue_limit),
        Limit("workflow", service_id, runs, waiting),
        Limit("caller", owner, settings.concurrency, settings.queue_limit),
        Limit("home", "", settings.home_concurrency, settings.home_queue_limit),
    )
    bounded = tuple(limit for limit in limits if (limit.runs, limit.waiting) != (None, None))
    return LimitScope(owner, key, service_id, bounded, nested)
