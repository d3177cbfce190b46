"""The rights of each role, as the kinds and scopes of callers that the access table knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, CallerKind, HomeMember, Role, Scope


@dataclass(frozen=True, slots=True)
class RoleRights:
    """The caller that a member of a role is. `scopes` is None for all."""

    kind: Literal["admin", "user"]
    scopes: frozenset[Scope] | None
    description: str


ROLES: Final[Mapping[Role, RoleRights]] = {
    "viewer": RoleRights("user", frozenset({"read"}), "Sees workflows, runs, logs and costs, and changes nothing."),
    "runner": RoleRights(
        "user", frozenset({"read", "run"}), "Also runs and cancels workflows, and answers the questions that runs ask."
    ),
    "author": RoleRights(
        "user", frozenset({"read", "run", "deploy", "write"}),
        "Also deploys and changes workflows, secrets, schedules and connections, and agrees to permissions.",
    ),
    "admin": RoleRights(
        "admin", None, "Also manages members up to this role, keys, budgets, sessions and the audit trail, and stops the runtime."
    ),
    "owner": RoleRights("admin", None, "Also manages owners, keys of other owners of the database, and the master key."),
}  # fmt: skip
"""From the least to the most."""
_RANKS: Final = {role: rank for rank, role in enumerate(ROLES)}


def may_manage(caller: Caller, role: Role) -> bool:
    """Whether the caller may give, change and take this role: an admin, up to the role that is their own."""
    if caller.kind != "admin":
        return False
    return caller.member is None or _RANKS[role] <= _RANKS[caller.member.role]


def higher(one: Role | None, other: Role | None) -> Role | None:
    """The higher one of two roles; None where there is neither."""
    roles: list[Role] = [role for role in (one, other) if role is not None]
    return max(roles, key=_RANKS.__getitem__, default=None)


def is_owner(caller: Caller) -> bool:
    """Whether the caller may do everything: an owner, or an admin's key that is no member's, as the home's own is."""
    return caller.kind == "admin" and (caller.member is None or caller.member.role == "owner")


def has_lost_rights(before: Caller, now: Caller) -> bool:
    """Whether a caller may do less now than before, of the same key or session."""
    if (before.kind == "admin" and now.kind != "admin") or (is_owner(before) and not is_owner(now)):
        return True
    return _is_narrower(before.scopes, now.scopes) or _is_narrower(before.toolsets, now.toolsets)


def _is_narrower(before: frozenset[str] | None, now: frozenset[str] | None) -> bool:
    """Whether a set lacks something of the one before; None is all."""
    return now is not None and (before is None or not before <= now)


def caller_of(member: HomeMember) -> Caller:
    """The caller that a member is by a session of their own."""
    rights = ROLES[member.role]
    return Caller(HOME_OWNER, rights.kind, key_id=member.id, scopes=rights.scopes, member=member)


def limit_to_role(caller: Caller, member: HomeMember) -> Caller:
    """The caller of a member's key or token: the rights that both that and the role have now."""
    rights = ROLES[member.role]
    if rights.scopes is None:
        scopes = caller.scopes
    elif caller.scopes is None:
        scopes = rights.scopes
    else:
        scopes = rights.scopes & caller.scopes
        # `write` includes `deploy`, on either side.
        if "write" in caller.scopes and "deploy" in rights.scopes:
            scopes |= {"deploy"}

    kind: CallerKind = "admin" if caller.kind == rights.kind == "admin" else "user"
    return replace(caller, kind=kind, scopes=scopes, member=member)


def may_request(caller: Caller, scope: Scope) -> bool:
    """Whether a token with this scope would give it to the caller: the authorization server decides, within the member's role."""
    if not caller.by_token:
        return False
    return caller.member is None or caller_of(caller.member).can(scope)
