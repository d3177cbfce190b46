"""Passkeys of members: registered by a signed-in member, used to sign in, named, listed and revoked."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Any, Final, Literal

from sqlalchemy import Connection

from codewords_mcp.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from codewords_mcp.runtime.auth.passkey_ceremonies import (
    CHALLENGE_TTL,
    Ceremonies,
    Credential,
    Site,
    credential_id_of,
)
from codewords_mcp.runtime.auth.roles import caller_of, may_manage
from codewords_mcp.runtime.model.audit import describe
from codewords_mcp.runtime.model.caller import Caller, HomeMember
from codewords_mcp.runtime.model.passkey import PasskeyInfo
from codewords_mcp.runtime.store import passkeys as rows
from codewords_mcp.runtime.store import service_values as values
from codewords_mcp.runtime.store.clock import now, optional_datetime, to_datetime
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import PasskeyRow

MAX_PER_MEMBER: Final = 20
_MAX_NAME: Final = 64
_MAX_ID: Final = 1023
"""Bytes of a credential's id, by the specification."""
_SPENT: Final = ("", "passkey_challenges")


class Passkeys:
    """The passkeys of one home. `clock` gives the time in µs."""

    def __init__(self, database: Database, ceremonies: Ceremonies, clock: Callable[[], int] = now) -> None:
        self._db = database
        self._ceremonies = ceremonies
        self._clock = clock

    async def begin(self, member: HomeMember, site: Site, session_id: str) -> dict[str, Any]:
        """Options for the browser of a session to make a passkey for its member."""
        known = await self._db.read(rows.credential_ids, member.id)
        return self._ceremonies.registration_options(site, member.id, member.name, known, session_id)

    async def add(
        self, member: HomeMember, site: Site, session_id: str, name: str, credential: Credential
    ) -> PasskeyInfo:
        """Keep the passkey that this session's browser made. Raises InvalidInput, Unauthenticated, Conflict."""
        checked = _checked_name(name)
        made = self._ceremonies.check_registration(site, credential, session_id)
        if len(made.credential_id) > _MAX_ID:
            raise InvalidInput("The id of this passkey is too long.")
        at = self._clock()
        row: PasskeyRow = {
            "id": secrets.token_hex(8), "member": member.id, "name": checked, "rp_id": site.rp_id,
            "digest": _digest(made.credential_id), "credential_id": made.credential_id, "public_key": made.public_key,
            "sign_count": made.sign_count, "created_at": at, "used_at": None,
        }  # fmt: skip

        def add(connection: Connection) -> None:
            self._spend(connection, made.nonce, at)
            if len(rows.credential_ids(connection, member.id)) >= MAX_PER_MEMBER:
                raise Conflict(
                    f"A member has {MAX_PER_MEMBER} passkeys at the most.", hint="Revoke one of them first."
                )
            if not rows.add(connection, row):
                raise Conflict("This passkey is known already, or its member is gone.")

        await self._db.write(add)
        return _info(row, member.name)

    def begin_sign_in(self, site: Site, secret: str) -> dict[str, Any]:
        """Options for a browser, which has this secret in a cookie, to sign in by any passkey of the site."""
        return self._ceremonies.sign_in_options(site, secret)

    async def sign_in(self, site: Site, secret: str, credential: Credential) -> Caller:
        """The member whose passkey a browser has shown. Raises Unauthenticated; Forbidden for a copy of a passkey."""
        digest = _digest(credential_id_of(credential))
        found = await self._db.read(rows.by_digest, digest)
        if found is None or found.row["rp_id"] != site.rp_id:
            raise _unknown()
        shown = self._ceremonies.check_sign_in(site, credential, secret, found.row["public_key"])
        if shown.user != found.row["member"]:
            raise _unknown()
        at = self._clock()

        def use(connection: Connection) -> rows.HeldPasskey | Literal["copied"] | None:
            self._spend(connection, shown.nonce, at)
            # Read again: it may have been revoked, or its member have got another role.
            held = rows.by_digest(connection, digest)
            if held is None:
                return None
            return held if rows.note_use(connection, held.row["id"], shown.sign_count, at) else "copied"

        used = await self._db.write(use)
        if used is None:
            raise _unknown()
        describe(
            "passkey.copy" if used == "copied" else "passkey.sign_in",
            caller_of(found.member),
            found.row["id"],
        )
        if used == "copied":
            raise Forbidden(
                "This passkey was used elsewhere in the meantime: somebody may have a copy of it.",
                hint="Revoke it, and add a new one. An admin can make a link to sign in.",
            )
        return caller_of(used.member)

    async def exist(self) -> bool:
        """Return whether any member has a passkey."""
        return await self._db.read(rows.exist)

    async def list(self, member_id: str | None) -> list[PasskeyInfo]:
        """The passkeys of a member, or of all, the oldest first."""
        return [_info(held.row, held.member.name) for held in await self._db.read(rows.list_all, member_id)]

    async def rename(self, caller: Caller, passkey_id: str, name: str) -> PasskeyInfo:
        """Give a passkey another name. Raises InvalidInput, NotFound, Forbidden."""
        checked = _checked_name(name)

        def rename(connection: Connection) -> rows.HeldPasskey:
            held = _own(connection, caller, passkey_id)
            rows.rename(connection, passkey_id, checked)
            return held

        held = await self._db.write(rename)
        return _info({**held.row, "name": checked}, held.member.name)

    async def revoke(self, caller: Caller, passkey_id: str) -> None:
        """End a passkey: nobody signs in by it any more. Sessions go on. Raises NotFound, Forbidden."""

        def revoke(connection: Connection) -> None:
            _own(connection, caller, passkey_id)
            rows.remove(connection, passkey_id)

        await self._db.write(revoke)

    def _spend(self, connection: Connection, nonce: str, at: int) -> None:
        """Let a challenge count no more. Raises Unauthenticated where it counted before."""
        key = _digest(nonce.encode())
        values.lock(connection, *_SPENT, key)
        if values.get(connection, *_SPENT, key, at) is not None:
            raise Unauthenticated("This answer of a passkey was used before.", hint="Begin again.")
        values.put(connection, *_SPENT, key, "", at + 2 * CHALLENGE_TTL * 1_000_000)


def _own(connection: Connection, caller: Caller, passkey_id: str) -> rows.HeldPasskey:
    """A passkey that the caller may change: an own one, or of somebody whom the caller manages."""
    held = rows.get(connection, passkey_id)
    is_own = held is not None and caller.member is not None and held.member.id == caller.member.id
    if held is None or (caller.kind != "admin" and not is_own):
        raise NotFound("You have no such passkey.", hint="The list of passkeys names them.")
    if not is_own and not may_manage(caller, held.member.role):
        raise Forbidden(f"You may not change the passkeys of {held.member.role}s.")
    return held


def _info(row: PasskeyRow, member: str) -> PasskeyInfo:
    return PasskeyInfo(
        id=row["id"],
        member=member,
        name=row["name"],
        site=row["rp_id"],
        created_at=to_datetime(row["created_at"]),
        used_at=optional_datetime(row["used_at"]),
    )


def _checked_name(name: str) -> str:
    if not name.isprintable() or not 0 < len(name.strip()) <= _MAX_NAME:
        raise InvalidInput(f"A passkey's name is 1 to {_MAX_NAME} printable characters.")
    return name.strip()


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "This passkey is of no member here: it was revoked, its member was removed, or it is of another home.",
        hint="An admin of the home can make a link to sign in.",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
