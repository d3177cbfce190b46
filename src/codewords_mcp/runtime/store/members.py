"""Members of the home."""

from __future__ import annotations

import json
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, or_, select, update

from codewords_mcp.runtime.model.caller import HOME_OWNER, HomeMember, Role
from codewords_mcp.runtime.store import advisory_locks, service_values
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.links import end as end_links
from codewords_mcp.runtime.store.rows import MemberRow
from codewords_mcp.runtime.store.tables import keys, links, members, passkeys


class EndedAccess(NamedTuple):
    """Counts of what ended with a member."""

    keys: int
    sessions: int
    passkeys: int
    questions: int


def lock(connection: Connection) -> None:
    """Let nobody else change members before the transaction ends: two owners at once must not remove each other."""
    advisory_locks.lock(connection, [("members",)])


def add(connection: Connection, row: MemberRow) -> bool:
    """Add a member; False where the name is taken."""
    lock(connection)
    if get(connection, row["name"]) is not None:
        return False
    connection.execute(insert(members).values(row))
    return True


def get(connection: Connection, reference: str) -> MemberRow | None:
    """The member of an id or a name."""
    return _one(connection, or_(members.c.id == reference, members.c.name == reference))


def present(connection: Connection, member_id: str) -> HomeMember | None:
    """The member of an id, as it stands behind a caller."""
    row = _one(connection, members.c.id == member_id)
    return row and as_holder(row)


def as_holder(row: MemberRow) -> HomeMember:
    """The member of a row, as it stands behind a caller."""
    return HomeMember(row["id"], row["name"], row["role"], row["kind"])


def by_invitation(connection: Connection, digest: str, at: int) -> MemberRow | None:
    """The member whose open invitation has a token of this digest."""
    return _one(connection, (members.c.invite_hash == digest) & (members.c.invited_until > at))


def by_subject(connection: Connection, subject: str) -> MemberRow | None:
    """The member who signs in elsewhere as this subject, a digest."""
    return _one(connection, members.c.subject == subject)


def list_all(connection: Connection) -> list[MemberRow]:
    """All members, by their names."""
    found = connection.execute(select(members).order_by(members.c.name)).mappings()
    return [MemberRow(**row) for row in found]


def set_role(connection: Connection, member_id: str, role: Role) -> bool:
    """Change a role; False for no such member."""
    change = update(members).where(members.c.id == member_id).values(role=role)
    return connection.execute(change).rowcount == 1


def invite(connection: Connection, member_id: str, digest: str, until: int) -> bool:
    """Open an invitation, which takes the place of an earlier one; False for no such member."""
    change = update(members).where(members.c.id == member_id).values(invite_hash=digest, invited_until=until)
    return connection.execute(change).rowcount == 1


def join(connection: Connection, digest: str, at: int) -> MemberRow | None:
    """Spend an invitation: its member; None if it was spent, replaced or is over. Of two at once one gets the member."""
    found = by_invitation(connection, digest, at)
    if found is None:
        return None
    joined_at = at if found["joined_at"] is None else found["joined_at"]
    same = (members.c.id == found["id"]) & (members.c.invite_hash == digest)
    change = update(members).where(same).values(invite_hash=None, invited_until=None, joined_at=joined_at)
    if connection.execute(change).rowcount != 1:
        return None
    return MemberRow({**found, "invite_hash": None, "invited_until": None, "joined_at": joined_at})


def other_owners(connection: Connection, member_id: str) -> int:
    """The number of people beside this one who are owners and have joined."""
    others = (members.c.role == "owner") & (members.c.kind == "person") & (members.c.id != member_id)
    return len(connection.execute(select(members.c.id).where(others, members.c.joined_at.is_not(None))).all())


def remove(
    connection: Connection, member_id: str, session_space: tuple[str, str, str], at: int
) -> EndedAccess:
    """Remove a member with keys, passkeys, sessions, and every question that waits for a person's agreement.

    `session_space` names where sessions are stored, and the field of their JSON that holds the member's id.
    """
    live_keys = (keys.c.member == member_id) & keys.c.revoked.is_(False)
    ended_keys = connection.execute(update(keys).where(live_keys).values(revoked=True)).rowcount
    ended_passkeys = connection.execute(delete(passkeys).where(passkeys.c.member == member_id)).rowcount
    owner, space, name = session_space
    ended = [
        row["key"]
        for row in service_values.live(connection, owner, space, at)
        if json.loads(row["value"]).get(name) == member_id
    ]
    for key in ended:
        service_values.remove(connection, owner, space, key, at)

    # A stored answer does not say who gave it, so none counts: who still wants it is asked again.
    open_ones = (links.c.kind == "consent") & (links.c.owner == HOME_OWNER)
    questions = end_links(connection, open_ones, "withdrawn")
    connection.execute(delete(members).where(members.c.id == member_id))
    return EndedAccess(ended_keys, len(ended), ended_passkeys, questions)


def _one(connection: Connection, condition: ColumnElement[bool]) -> MemberRow | None:
    return first_row(connection, select(members).where(condition), MemberRow)
