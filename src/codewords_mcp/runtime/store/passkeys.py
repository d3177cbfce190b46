"""Passkeys of members."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from codewords_mcp.runtime.model.caller import HomeMember
from codewords_mcp.runtime.store import members as member_rows
from codewords_mcp.runtime.store.rows import PasskeyRow
from codewords_mcp.runtime.store.tables import members, passkeys


class HeldPasskey(NamedTuple):
    """A passkey with its member as it is now."""

    row: PasskeyRow
    member: HomeMember


def add(connection: Connection, row: PasskeyRow) -> bool:
    """Add a passkey; False where it is known, or its member is gone."""
    # With the lock of removals: a passkey must not outlive its member.
    member_rows.lock(connection)
    if member_rows.present(connection, row["member"]) is None or by_digest(connection, row["digest"]):
        return False
    connection.execute(insert(passkeys).values(row))
    return True


def get(connection: Connection, passkey_id: str) -> HeldPasskey | None:
    """The passkey of an id."""
    return next(iter(_held(connection, passkeys.c.id == passkey_id)), None)


def by_digest(connection: Connection, digest: str) -> HeldPasskey | None:
    """The passkey whose credential has an id of this digest."""
    return next(iter(_held(connection, passkeys.c.digest == digest)), None)


def exist(connection: Connection) -> bool:
    """Return whether there is any passkey."""
    return connection.execute(select(passkeys.c.id).limit(1)).first() is not None


def list_all(connection: Connection, member_id: str | None) -> list[HeldPasskey]:
    """The passkeys of a member, or of all, the oldest first."""
    return _held(connection, passkeys.c.member == member_id if member_id else passkeys.c.id.is_not(None))


def credential_ids(connection: Connection, member_id: str) -> list[bytes]:
    """The ids of a member's credentials."""
    found = connection.execute(select(passkeys.c.credential_id).where(passkeys.c.member == member_id))
    return [bytes(one) for one in found.scalars()]


def note_use(connection: Connection, passkey_id: str, count: int, at: int) -> bool:
    """Note a use with this count of signatures; False where it has not grown, as that of a copy has not.

    Authenticators that don't count, since they are on several devices, always say 0.
    """
    grown = passkeys.c.sign_count < count
    if count == 0:
        grown = passkeys.c.sign_count == 0
    change = update(passkeys).where(passkeys.c.id == passkey_id, grown)
    return connection.execute(change.values(sign_count=count, used_at=at)).rowcount == 1


def rename(connection: Connection, passkey_id: str, name: str) -> None:
    """Change a name."""
    connection.execute(update(passkeys).where(passkeys.c.id == passkey_id).values(name=name))


def remove(connection: Connection, passkey_id: str) -> None:
    """Remove a passkey."""
    connection.execute(delete(passkeys).where(passkeys.c.id == passkey_id))


def _held(connection: Connection, condition: ColumnElement[bool]) -> list[HeldPasskey]:
    query = (
        select(passkeys, members.c.name.label("member_name"), members.c.role, members.c.kind)
        .join(members, members.c.id == passkeys.c.member)
        .where(condition)
        .order_by(passkeys.c.created_at, passkeys.c.id)
    )
    return [
        HeldPasskey(
            PasskeyRow(**{column.name: row[column.name] for column in passkeys.columns}),  # pyright: ignore[reportArgumentType]
            HomeMember(row["member"], row["member_name"], row["role"], row["kind"]),
        )
        for row in connection.execute(query).mappings()
    ]
