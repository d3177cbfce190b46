"""Who asks, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codewords_mcp.errors import Forbidden

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
