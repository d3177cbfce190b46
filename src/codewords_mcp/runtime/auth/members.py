"""Members of the home: invitations, roles and removal.

A home without members is one person's: the home's own key, and nothing to sign in to. Members act on the things of the home's
owner, each with the rights of a role (`roles.py`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, Forbidden, InvalidInput, NotFound
from codewords_mcp.runtime.auth.api_keys import ApiKeys, new_member_id
from codewords_mcp.runtime.auth.roles import caller_of, may_manage
from codewords_mcp.runtime.auth.sessions import SESSION_SPACE
from codewords_mcp.runtime.model.audit import describe
from codewords_mcp.runtime.model.caller import HOME_OWNER, Caller, HomeMember, MemberKind, Role
from codewords_mcp.runtime.model.member import MemberInfo, RemovedMember
from codewords_mcp.runtime.store import members as rows
from codewords_mcp.runtime.store.audit_capture import act_as
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import MemberRow

INVITATION_TTL: Final = 7 * 24 * 3600.0
"""Seconds that the link of an invitation is good for."""
MAX_MEMBERS: Final = 10_000
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._+@-]{0,63}")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9._+@-]+")
_MAX_PLAIN: Final = 56
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class Members:
    """The members of one home. `clock` gives the time in µs; `on_change` is called after a removal, which ends sessions."""

    def __init__(self, database: Database, keyring: ApiKeys, clock: Callable[[], int] = now) -> None:
        self._db = database
        self._keyring = keyring
        self._clock = clock
        self.on_change: Callable[[], None] = _ignore_change

    async def list(self) -> list[MemberInfo]:
        """All members, by their names."""
        return [self._info(row) for row in await self._db.read(rows.list_all)]

    async def get(self, reference: str) -> MemberInfo:
        """The member of an id or a name. Raises NotFound."""
        row = await self._db.read(rows.get, reference)
        if row is None:
            raise _no_member()
        return self._info(row)

    async def by_subject(self, subject: str) -> HomeMember | None:
        """The member who signs in elsewhere as this subject, a digest."""
        row = await self._db.read(rows.by_subject, subject)
        return row and rows.as_holder(row)

    async def add(self, caller: Caller, name: str, role: Role, kind: MemberKind) -> MemberInfo:
        """Add a member, a person without an invitation yet. Raises InvalidInput, Forbidden, Conflict."""
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                "A member's name is 1 to 64 of a-z, 0-9 and ._+@-, and begins with a letter or digit.",
                hint="For example grace, or grace@example.com.",
            )
        _require_manager(caller, role)
        if kind == "service" and role == "owner":
            raise InvalidInput("A service account is no owner.", hint="Its highest role is admin.")

        at = self._clock()
        row: MemberRow = {
            "id": new_member_id(), "name": name, "role": role, "kind": kind, "subject": None, "created_at": at,
            # There is nobody to follow a link.
            "joined_at": at if kind == "service" else None, "invite_hash": None, "invited_until": None,
        }  # fmt: skip

        def add(connection: Connection) -> None:
            if len(rows.list_all(connection)) >= MAX_MEMBERS:
                raise Conflict(f"The home has {MAX_MEMBERS} members, which is the limit.")
            if not rows.add(connection, row):
                raise Conflict("There is a member of this name.", hint="The list of members names them.")

        await self._db.write(add)
        return self._info(row)

    async def invite(self, caller: Caller, reference: str) -> tuple[MemberInfo, str]:
        """Make a one-time link for a member, also one who has joined: (the member, the link's token).

        An earlier link of the member ends. Raises NotFound, Forbidden, Conflict for a service account.
        """
        token = secrets.token_urlsafe(32)
        until = self._clock() + int(INVITATION_TTL * 1e6)

        def invite(connection: Connection) -> MemberRow:
            rows.lock(connection)
            row = _found(connection, reference)
            # Who has the link is the member, with all of the member's rights.
            _require_manager(caller, row["role"])
            if row["kind"] == "service":
                raise Conflict("A service account signs in nowhere.", hint="Make a key for it.")
            rows.invite(connection, row["id"], _digest(token), until)
            return MemberRow({**row, "invited_until": until})

        return self._info(await self._db.write(invite)), token

    async def peek(self, token: str) -> MemberInfo:
        """The member of an open invitation, without spending it. Raises NotFound."""
        row = None
        if _TOKEN.fullmatch(token):
            row = await self._db.read(rows.by_invitation, _digest(token), self._clock())
        if row is None:
            raise _no_invitation()
        return self._info(row)

    async def join(self, token: str) -> Caller:
        """Spend an invitation: the caller that its member is. Raises NotFound."""
        row = None
        if _TOKEN.fullmatch(token):
            row = await self._db.write(rows.join, _digest(token), self._clock())
        if row is None:
            raise _no_invitation()
        caller = caller_of(rows.as_holder(row))
        describe("member.join", caller, row["id"])
        return caller

    async def sign_in(self, subject: str, name: str, role: Role | None) -> Caller:
        """The caller of a person whom an issuer vouches for: a new member at first, then one with this role.

        `subject` is a digest, `role` the role of their groups. Raises Forbidden without a role: such a member is removed,
        unless it is the last owner, who stays one whatever the groups say.
        """
        at = self._clock()

        def sign_in(connection: Connection) -> MemberRow | None:
            rows.lock(connection)
            row = rows.by_subject(connection, subject)
            is_last = (
                row is not None and row["role"] == "owner" and not rows.other_owners(connection, row["id"])
            )
            if row is not None:
                act_as(connection, caller_of(rows.as_holder(row)))
            if role is None:
                if row is not None and not is_last:
                    rows.remove(connection, row["id"], SESSION_SPACE, at)
                return None
            if row is None:
                row = _new_member(connection, subject, name, role, at)
            elif row["role"] != role and not is_last:
                rows.set_role(connection, row["id"], role)
                row = MemberRow({**row, "role": role})
            return row

        before = await self._db.read(rows.by_subject, subject)
        row = await self._db.write(sign_in)
        if before is not None:
            self._keyring.forget_member(before["id"])
        if row is None:
            self.on_change()
            raise Forbidden(
                "You are in no group that has a role in this home.",
                hint="An admin of the issuer or the home can change that.",
            )
        return caller_of(rows.as_holder(row))

    async def set_role(self, caller: Caller, reference: str, role: Role) -> MemberInfo:
        """Change a member's role, which counts from the next request on.

        Raises NotFound; Forbidden for a role above the caller's own; Conflict for the last owner.
        """

        def change(connection: Connection) -> MemberRow:
            rows.lock(connection)
            row = _found(connection, reference)
            _require_manager(caller, row["role"])
            # Both the role that is taken and the one that is given must be within the caller's.
            _require_manager(caller, role)
            if row["kind"] == "service" and role == "owner":
                raise InvalidInput("A service account is no owner.", hint="Its highest role is admin.")
            if row["role"] == "owner" and role != "owner":
                _require_another_owner(connection, row)
            rows.set_role(connection, row["id"], role)
            return MemberRow({**row, "role": role})

        changed = await self._db.write(change)
        # After the write: before it, a request in between would put the former role back into the
        # cache.
        self._keyring.forget_member(changed["id"])
        return self._info(changed)

    async def remove(self, caller: Caller, reference: str) -> RemovedMember:
        """Remove a member, with keys and sessions, at once. Runs, schedules and all else stay the home's.

        Raises NotFound; Forbidden for a role above the caller's own; Conflict for the last owner.
        """
        at = self._clock()

        def remove(connection: Connection) -> tuple[MemberRow, rows.EndedAccess]:
            rows.lock(connection)
            row = _found(connection, reference)
            _require_manager(caller, row["role"])
            if row["role"] == "owner":
                _require_another_owner(connection, row)
            return row, rows.remove(connection, row["id"], SESSION_SPACE, at)

        row, ended = await self._db.write(remove)
        # After the write: before it, a request in between would put the member back into the cache.
        self._keyring.forget_member(row["id"])
        self.on_change()
        return RemovedMember(
            name=row["name"],
            keys=ended.keys,
            sessions=ended.sessions,
            passkeys=ended.passkeys,
            questions=ended.questions,
        )

    def _info(self, row: MemberRow) -> MemberInfo:
        until = row["invited_until"]
        return MemberInfo(
            id=row["id"],
            name=row["name"],
            role=row["role"],
            kind=row["kind"],
            created_at=to_datetime(row["created_at"]),
            joined_at=optional_datetime(row["joined_at"]),
            invited_until=to_datetime(until) if until is not None and until > self._clock() else None,
        )


def _new_member(connection: Connection, subject: str, name: str, role: Role, at: int) -> MemberRow:
    """Add the member of a subject. A name that is taken gets a number: it says nothing of who the other one is."""
    plain = _NOT_IN_NAMES.sub("-", name.lower()).lstrip("-._+@")[:_MAX_PLAIN] or "member"
    names = (plain, *(f"{plain}-{number}" for number in range(2, MAX_MEMBERS)))
    row: MemberRow = {
        "id": new_member_id(), "name": next(one for one in names if rows.get(connection, one) is None), "role": role,
        "kind": "person", "subject": subject, "created_at": at, "joined_at": at, "invite_hash": None, "invited_until": None,
    }  # fmt: skip
    act_as(connection, caller_of(rows.as_holder(row)))
    rows.add(connection, row)
    return row


def require_home(caller: Caller) -> None:
    """Raise Forbidden for a caller of another owner: members are of the home's owner alone."""
    if caller.owner != HOME_OWNER or caller.kind != "admin":
        raise Forbidden(
            "This key may not manage members.", hint="Use the home's admin key, or an admin's session."
        )


def _require_manager(caller: Caller, role: Role) -> None:
    if not may_manage(caller, role):
        raise Forbidden(
            f"You may not give, change or take the role {role}.",
            hint="Somebody of that role or a higher one may.",
        )


def _require_another_owner(connection: Connection, row: MemberRow) -> None:
    # One who has not joined yet owns nothing, and may never follow the link.
    if row["joined_at"] is not None and not rows.other_owners(connection, row["id"]):
        raise Conflict(
            f"{row['name']} is the last owner of the home, which needs one.",
            hint="Make somebody else an owner first.",
        )


def _found(connection: Connection, reference: str) -> MemberRow:
    row = rows.get(connection, reference)
    if row is None:
        raise _no_member()
    return row


def _no_member() -> NotFound:
    return NotFound("The home has no such member.", hint="The list of members names them.")


def _no_invitation() -> NotFound:
    return NotFound(
        "This invitation is not valid: it was followed, was replaced by another one, or is over.",
        hint="Ask an admin of the home for a new link.",
    )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _ignore_change() -> None:
    """Nobody listens."""
