"""Limits of running and queued runs: per key, caller, workflow, and for the whole home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codewords_mcp.errors import TooBusy
from codewords_mcp.errors.remedies import Remedy, RemedyAction
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
    """At most `runs` at once and `waiting` in the queue, for one subject. None is unlimited.

    `by_quota`: the quota of the owner says so, not a setting for every caller.
    """

    scope: Scope
    subject: str
    runs: int | None
    waiting: int | None
    by_quota: bool = False

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
        if self.by_quota:
            return TooBusy(
                f"{waiting} runs of {self.subject} are waiting, which is its quota.",
                retry_after=RETRY_AFTER,
                limit="owner",
                hint="Try again in some seconds.",
                remedy=Remedy(RemedyAction.CHANGE_QUOTA, {"owner": self.subject}),
            )

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
        of = f"of {self.subject}, its quota," if self.by_quota else _SUBJECT[self.scope]
        return TooBusy(
            f"Timed out after {timeout:g} s in the queue: the limit of {self.runs} concurrent runs {of} is in use.",
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
    quota: tuple[int | None, int | None] = (None, None),
) -> LimitScope:
    """The limits of a run. `own` are those of the workflow's header, `quota` those of its owner: (runs, waiting)."""
    key = key_id or ""
    runs, waiting = own
    if runs is None:
        runs = settings.workflow_concurrency
    if waiting is None:
        waiting = settings.workflow_queue_limit

    limits = (
        Limit("key", f"{owner}/{key}", settings.key_concurrency, settings.key_queue_limit),
        Limit("workflow", service_id, runs, waiting),
        _of_caller(settings, owner, quota),
        Limit("home", "", settings.home_concurrency, settings.home_queue_limit),
    )
    bounded = tuple(limit for limit in limits if (limit.runs, limit.waiting) != (None, None))
    return LimitScope(owner, key, service_id, bounded, nested)


def _of_caller(settings: Settings, owner: str, quota: tuple[int | None, int | None]) -> Limit:
    """The lower one of the limits of every caller and the quota of this one."""
    runs, waiting = _lower(settings.concurrency, quota[0]), _lower(settings.queue_limit, quota[1])
    by_quota = (runs, waiting) != (settings.concurrency, settings.queue_limit)
    return Limit("caller", owner, runs, waiting, by_quota)


def _lower(one: int | None, other: int | None) -> int | None:
    """The lower one of two limits; None is unlimited."""
    return min((limit for limit in (one, other) if limit is not None), default=None)
