"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from codewords_mcp.errors import Conflict, Forbidden

MAX_DEPTH = 20
"""Workflows that may call each other in a chain, also by schedules and webhooks that they make: beyond it is one that calls
itself without end.
"""

Scope = Literal["read", "run", "write", "admin"]
"""What a key may do: look; run workflows and call models and services; change what is there; administer keys."""


HOME_OWNER = "local"
"""Owner of what the home's admin key makes."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `owner` owns workflows, runs, secrets and files; another owner's are not found.

    kind: `admin` may all; `user` may use and deploy own things, not administer keys or stop the runtime;
    `run` is a sandboxed workflow: `/run`, provider routes and files only.
    `scopes` and `toolsets` (of the MCP door) narrow that; None does not. `by_token`: an authorization server's token,
    for which further scopes can be had, named it.
    """

    owner: str
    kind: Literal["admin", "user", "run"]
    key_id: str | None = None
    run_id: str | None = None
    scopes: frozenset[str] | None = None
    toolsets: frozenset[str] | None = None
    by_token: bool = False

    def can(self, scope: Scope) -> bool:
        """Whether its scopes have this one; `admin` has all."""
        return self.scopes is None or scope in self.scopes or "admin" in self.scopes


@dataclass(frozen=True, slots=True)
class MadeBy:
    """The workflow whose run made a schedule, webhook or delivery. What that starts counts on it: `depth` is how deep in a chain
    of calls the started run stands, `services` are the workflows of that chain, the nearest first. `key_id` is the key that
    began the chain, None for the home's own.
    """

    workflow: str
    depth: int
    services: tuple[str, ...]
    key_id: str | None = None

    def check(self) -> None:
        """Raises Conflict where what it starts would stand too deep in the chain."""
        if self.depth > MAX_DEPTH:
            raise Conflict(
                f"Workflows start each other {MAX_DEPTH} deep, which is the limit.",
                hint="Look for a workflow that starts itself without end; a cron schedule repeats without a chain.",
            )

    def as_json(self) -> dict[str, Any]:
        """For the store."""
        plain = {"workflow": self.workflow, "depth": self.depth, "services": list(self.services)}
        return plain | ({"key_id": self.key_id} if self.key_id else {})

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> MadeBy | None:
        """From the store; None for what a person made."""
        if stored is None:
            return None
        return cls(stored["workflow"], stored["depth"], tuple(stored["services"]), stored.get("key_id"))


def require_admin(caller: Caller, what: str) -> None:
    """Raise Forbidden unless the caller is an admin."""
    if caller.kind != "admin":
        raise Forbidden(f"This key may not {what}.", hint="Use the home's admin key.")


def refuse_run(caller: Caller, what: str) -> None:
    """Raise Forbidden for a running workflow's key: it runs things and moves files, and administers nothing."""
    if caller.kind == "run":
        raise Forbidden(
            f"A running workflow's key may not {what}.", hint="Use a person's key, outside the workflow."
        )
