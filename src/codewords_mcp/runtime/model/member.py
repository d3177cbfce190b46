"""Members of a home: people, and service accounts that no person signs in as."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.caller import MemberKind, Role


class MemberInfo(Model):
    """A member. `joined_at` is None until the invitation was followed; `invited_until` is None where none is open."""

    id: str
    name: str
    role: Role
    kind: MemberKind
    created_at: datetime
    joined_at: datetime | None = None
    invited_until: datetime | None = None


class Invitation(Model):
    """A one-time link that signs a member's browser in. Whoever opens it is that member."""

    member: MemberInfo
    url: str
    expires_at: datetime


class RemovedMember(Model):
    """Everything that ended with a member: `keys`, `sessions`, `passkeys`, and `questions` that waited for an answer."""

    name: str
    keys: int
    sessions: int
    passkeys: int
    questions: int


class CallerInfo(Model):
    """The caller of a request, and the rights of the key or session. `scopes` and `toolsets` are None for all."""

    owner: str
    kind: Literal["admin", "user"]
    scopes: list[str] | None = None
    toolsets: list[str] | None = None
    member: MemberInfo | None = None
