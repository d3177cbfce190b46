"""Keys, secrets, files and small facts of the home."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select, update

from codewords_mcp.runtime.model.caller import HomeMember
from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import FileRow, KeyRow, SecretRow
from codewords_mcp.runtime.store.tables import files, keys, members, secrets


def add_key(connection: Connection, values: KeyRow) -> None:
    """A new key row."""
    connection.execute(insert(keys).values(values))


class HeldKey(NamedTuple):
    """A key, and its member as it is now. A key of a removed member has `row["member"]` and no `member`."""

    row: KeyRow
    member: HomeMember | None


_HELD = select(
    keys,
    members.c.id.label("member_id"),
    members.c.name.label("member_name"),
    members.c.role.label("member_role"),
    members.c.kind.label("member_kind"),
).outerjoin(members, members.c.id == keys.c.member)


def key_by_hash(connection: Connection, key_hash: str) -> HeldKey | None:
    """The key with this hash."""
    return _held(connection, keys.c.hash == key_hash)


def key_by_id(connection: Connection, key_id: str) -> HeldKey | None:
    """The key with this id."""
    return _held(connection, keys.c.id == key_id)


def _held(connection: Connection, condition: ColumnElement[bool]) -> HeldKey | None:
    row = connection.execute(_HELD.where(condition)).mappings().first()
    if row is None:
        return None
    # The columns of the key come first, under their own names.
    key = KeyRow(**{column.name: row[column.name] for column in keys.columns})
    if row["member_id"] is None:
        return HeldKey(key, None)
    member = HomeMember(row["member_id"], row["member_name"], row["member_role"], row["member_kind"])
    return HeldKey(key, member)


def models_of_key(connection: Connection, key_id: str) -> list[str] | None:
    """The models that it may ask; None for all, and for a key that is none."""
    return connection.execute(select(keys.c.models).where(keys.c.id == key_id)).scalar()


def spend_key(connection: Connection, key_id: str, at: int) -> bool:
    """Mark a one-time key used; False if it was already."""
    return (
        connection.execute(
            # Of two requests with the same key at once, this condition lets only one pass.
            update(keys).where(keys.c.id == key_id, keys.c.used_at.is_(None)).values(used_at=at)
        ).rowcount
        == 1
    )


def revoke_key(connection: Connection, key_id: str) -> bool:
    """Revoke; False if there is none."""
    return connection.execute(update(keys).where(keys.c.id == key_id).values(revoked=True)).rowcount == 1


def list_keys(
    connection: Connection,
    limit: int | None = None,
    after: tuple[int, str] | None = None,
    member: str | None = None,
) -> list[KeyRow]:
    """Keys, of all or of a member, oldest first. `after` is the time and id of the last one of the page before."""
    query = select(keys).order_by(keys.c.created_at, keys.c.id).limit(limit)
    if member is not None:
        query = query.where(keys.c.member == member)
    if after is not None:
        same_time = (keys.c.created_at == after[0]) & (keys.c.id > after[1])
        query = query.where(or_(keys.c.created_at > after[0], same_time))
    return [KeyRow(**row) for row in connection.execute(query).mappings()]


def put_secret(connection: Connection, values: SecretRow) -> None:
    """Insert or replace by (owner, name), keeping created_at."""
    inserts.put(connection, secrets, values, keeps=("created_at",))


def add_secret_once(connection: Connection, values: SecretRow) -> None:
    """Insert a secret unless the owner has one of that name, which another process may add at the same time."""
    inserts.insert_once(connection, secrets, values)


def list_secrets(
    connection: Connection, owner: str, limit: int | None = None, after: str | None = None
) -> list[SecretRow]:
    """The owner's secrets by name. `after` is the last name of the page before."""
    query = select(secrets).where(secrets.c.owner == owner).order_by(secrets.c.name).limit(limit)
    if after is not None:
        query = query.where(secrets.c.name > after)
    return [SecretRow(**row) for row in connection.execute(query).mappings()]


def get_secret(connection: Connection, owner: str, name: str) -> SecretRow | None:
    """One of the owner's secrets."""
    query = select(secrets).where(secrets.c.owner == owner, secrets.c.name == name)
    return first_row(connection, query, SecretRow)


def secret_owners(connection: Connection, name: str) -> list[str]:
    """Owners with a secret of this name."""
    return list(connection.execute(select(secrets.c.owner).where(secrets.c.name == name)).scalars())


def delete_secret(connection: Connection, owner: str, name: str) -> bool:
    """Delete; False if there is none."""
    return (
        connection.execute(delete(secrets).where(secrets.c.owner == owner, secrets.c.name == name)).rowcount
        == 1
    )


def secret_key_ids(connection: Connection) -> set[str]:
    """The key ids of all stored secrets."""
    return set(connection.execute(select(secrets.c.key_id).distinct()).scalars())


def secrets_of_other_keys(connection: Connection, key_id: str, limit: int) -> list[SecretRow]:
    """Some secrets that are not encrypted with this key."""
    found = select(secrets).where(secrets.c.key_id != key_id).order_by(secrets.c.owner, secrets.c.name)
    return [SecretRow(**row) for row in connection.execute(found.limit(limit)).mappings()]


def reseal_secret(connection: Connection, row: SecretRow, key_id: str, ciphertext: bytes) -> bool:
    """Encrypted anew, unless it was set meanwhile."""
    same = (
        (secrets.c.owner == row["owner"])
        & (secrets.c.name == row["name"])
        & (secrets.c.ciphertext == row["ciphertext"])
    )
    changed = update(secrets).where(same).values(key_id=key_id, ciphertext=ciphertext)
    return connection.execute(changed).rowcount == 1


def add_file(connection: Connection, values: FileRow) -> None:
    """Room for a file."""
    connection.execute(insert(files).values(values))


def get_file(connection: Connection, file_id: str) -> FileRow | None:
    """A file row."""
    return first_row(connection, select(files).where(files.c.id == file_id), FileRow)


def complete_file(connection: Connection, file_id: str, stored_as: str, size: int, content_type: str) -> bool:
    """Record an upload, once; False if it was complete."""
    where = (files.c.id == file_id) & files.c.size.is_(None)
    values = {"size": size, "content_type": content_type, "stored_as": stored_as}
    return connection.execute(update(files).where(where).values(values)).rowcount == 1


def list_files(
    connection: Connection, owner: str, at: int, limit: int, maker: str | None = None
) -> list[FileRow]:
    """List an owner's uploaded files, newest first; with `maker`, only files that this workflow
    made.
    """
    live = (files.c.owner == owner) & files.c.size.is_not(None) & (files.c.expires_at > at)
    if maker is not None:
        live &= files.c.maker == maker
    query = select(files).where(live).order_by(files.c.created_at.desc(), files.c.id).limit(limit)
    return [FileRow(**row) for row in connection.execute(query).mappings()]


def delete_file(connection: Connection, file_id: str) -> None:
    """Delete a file's row."""
    connection.execute(delete(files).where(files.c.id == file_id))


def files_size(connection: Connection) -> tuple[int, int]:
    """(uploaded files, their bytes)."""
    found = connection.execute(select(func.count(), func.coalesce(func.sum(files.c.size), 0))).one()
    return int(found[0]), int(found[1])


def expired_files(connection: Connection, at: int, limit: int) -> list[str]:
    """Remove expired rows, at most so many. Returns the names that their bytes are stored under."""
    some = select(files.c.id, files.c.stored_as).where(files.c.expires_at < at).limit(limit)
    found = connection.execute(some).all()
    connection.execute(delete(files).where(files.c.id.in_([row.id for row in found])))
    # Bytes from before `stored_as` was kept are stored under the id of the file.
    return [row.stored_as or row.id for row in found]
