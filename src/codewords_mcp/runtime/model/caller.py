"""The caller of an operation, and its permissions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from codewords_mcp.errors import Conflict, Forbidden

MAX_DEPTH = 20
"""Maximum length of a chain of workflows that call each other, also by schedules and webhooks. A
longer chain is a workflow that calls itself without end.
"""

Scope = Literal["read", "run", "deploy", "write", "audit", "metrics", "admin"]
"""Permission of a key: read; run workflows and call models and services; deploy, without agreeing to permissions for a
person; change things, which includes `deploy`; read the audit trail; read metrics;
administer keys.
"""


HOME_OWNER = "local"
"""Owner of everything made with the home's admin key."""


CallerKind = Literal["admin", "user", "run"]
Role = Literal["viewer", "runner", "author", "admin", "owner"]
"""Of members of the home, from the least to the most; `auth/roles.py` has the rights of each."""
MemberKind = Literal["person", "service"]


@dataclass(frozen=True, slots=True)
class HomeMember:
    """The member behind a caller, as the store has it at the time of the request."""

    id: str
    name: str
    role: Role
    kind: MemberKind = "person"


@dataclass(frozen=True, slots=True)
class Caller:
    """Authenticated origin of a request. `owner` owns workflows, runs, secrets and files; another
    owner's are not found.

    kind: `admin` may do everything. `user` may use and deploy its own things, but not administer
    keys or stop the runtime. `run` is a sandboxed workflow: `/run`, provider routes and files only.
    `scopes` and `toolsets` (MCP only) narrow that; None does not. `by_token`: an authorization
    server issued the token, and further scopes can be requested there. `member`: the member of the
    home that the key or session belongs to; `key_id` is the member's id where there is no key.
    """

    owner: str
    kind: CallerKind
    key_id: str | None = None
    run_id: str | None = None
    scopes: frozenset[str] | None = None
    toolsets: frozenset[str] | None = None
    by_token: bool = False
    member: HomeMember | None = None

    @property
    def actor(self) -> str:
        """The name of the person or account that acts: the member's, else the owner's."""
        return self.owner if self.member is None else self.member.name

    def can(self, scope: Scope) -> bool:
        """Whether the caller has this scope; `write` includes `deploy`, and `admin` all."""
        if self.scopes is None or scope in self.scopes or "admin" in self.scopes:
            return True
        return scope == "deploy" and "write" in self.scopes

    @property
    def agrees(self) -> bool:
        """Whether the holder of its key vouches for a person's consent. A key of `deploy` only brings what was agreed to."""
        return self.kind != "run" and self.can("write")


@dataclass(frozen=True, slots=True)
class MadeBy:
    """The workflow whose run created a schedule, webhook or delivery.

    Runs started by it count towards that workflow's chain. `depth` is the depth of the started run
    in the chain, `services` are the chain's workflows, the nearest first. `key_id` is the key that
    began the chain, None for the home's own.
    """

    workflow: str
    depth: int
    services: tuple[str, ...]
    key_id: str | None = None

    def check(self) -> None:
        """Raise Conflict if the started run would exceed the maximum depth."""
        if self.depth > MAX_DEPTH:
            raise Conflict(
                f"Workflows start each other {MAX_DEPTH} deep, which is the limit.",
                hint="Look for a workflow that starts itself without end; a cron schedule repeats without a chain.",
            )

    def as_json(self) -> dict[str, Any]:
        """The stored form."""
        stored: dict[str, Any] = {
            "workflow": self.workflow,
            "depth": self.depth,
            "services": list(self.services),
        }
        if self.key_id:
            stored["key_id"] = self.key_id
        return stored

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None) -> MadeBy | None:
        """Parse the stored form. None for things made by a person."""
        if stored is None:
            return None
        return cls(stored["workflow"], stored["depth"], tuple(stored["services"]), stored.get("key_id"))


def require_admin(caller: Caller, action: str) -> None:
    """Raise Forbidden unless the caller is an admin."""
    if caller.kind != "admin":
        raise Forbidden(f"This key may not {action}.", hint="Use the home's admin key.")


def refuse_run(caller: Caller, action: str) -> None:
    """Raise Forbidden for a running workflow's key, which may run things and move files but
    administer nothing.
    """
    if caller.kind == "run":
        raise Forbidden(
            f"A running workflow's key may not {action}.", hint="Use a person's key, outside the workflow."
        )
