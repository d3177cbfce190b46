"""One-time links: pages for a person's input or answer that must not pass through a chat.

They are in the database, so that every runtime on it, and a restarted one, can serve the page.
"""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from sqlalchemy import Connection

from codewords_mcp.errors import Forbidden, StorageFailed
from codewords_mcp.runtime.secrets.vault import SealedValue, Vault
from codewords_mcp.runtime.store import key_use
from codewords_mcp.runtime.store import links as rows
from codewords_mcp.runtime.store.consent_entries import ConsentEntry
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import LinkKind, LinkRow, NewLink

LIFETIME: Final = 600.0
"""Seconds."""
MAX_LINKS: Final = 1000
"""Of one kind."""
MAX_PER_OWNER: Final = 50
"""Of one kind, so that many questions end no page on which a secret is being typed."""


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """The content of a token.

    `subject` identifies the matter, `data` has the rest, `answer` a person's.
    """

    token: str
    owner: str
    subject: str
    data: dict[str, Any]
    answer: str | None
    row: LinkRow


class Links:
    """Links of one kind.

    A token has 192 random bits; only its digest is stored, and the vault seals data.

    `on_change` is called after a link was made, answered or spent.

    Bounded: beyond 50 of one owner, or 1000 in all, the oldest one of its kind ends. A rotation of
    the master key ends them all.
    """

    def __init__(
        self,
        kind: LinkKind,
        database: Database,
        vault: Vault,
        *,
        lifetime: float = LIFETIME,
        on_change: Callable[[], object] | None = None,
    ) -> None:
        self._kind: LinkKind = kind
        self._db = database
        self._vault = vault
        self._on_change = on_change
        self._lifetime = lifetime

    async def create(
        self, owner: str, subject: str, data: dict[str, Any], entry: ConsentEntry | None = None
    ) -> str:
        """A token, safe in a URL, that is good until it is spent, or its time is over.

        `entry`, here and below, goes into the audit trail with the change.
        """
        token = secrets.token_urlsafe(24)
        link_id = _digest(token)
        # The token is sealed too, so that the list of open questions can name each link's
        # address.
        text = json.dumps({"token": token, "data": data})

        def store(connection: Connection) -> None:
            # Sealed for its owner and id: a row that is copied to another id can't be opened.
            sealed = self._vault.encrypt(owner, _name(link_id), text, key_use.in_use(connection))
            values: NewLink = {
                "id": link_id,
                "kind": self._kind,
                "owner": owner,
                "subject": subject,
                "key_id": sealed.key_id,
                "sealed": sealed.data,
                "answer": None,
            }
            rows.add(connection, values, self._lifetime, max_of_owner=MAX_PER_OWNER, max_total=MAX_LINKS)
            _note(connection, entry)

        await self._db.write(store)
        self._changed()

        return token

    async def ensure(self, owner: str, subject: str, data: dict[str, Any]) -> str:
        """Return the token of an unanswered link with the same content, its time renewed, or of a
        new one.
        """
        for link in await self.waiting(owner):
            if (link.row["kind"], link.subject, link.data) == (self._kind, subject, data):
                renew = functools.partial(rows.renew, link_id=link.row["id"], ttl=self._lifetime)
                if await self._db.write(renew):
                    return link.token
        return await self.create(owner, subject, data)

    async def find(self, token: str) -> OneTimeLink | None:
        """Return the content of a token, without spending it; None if it is unknown, spent or
        expired.
        """
        link_id = _digest(token)
        return self._opened(await self._db.read(rows.get, link_id, self._kind))

    async def about(self, owner: str, subject: str) -> OneTimeLink | None:
        """A link about this that is good."""
        return self._opened(await self._db.read(rows.about, self._kind, owner, subject))

    async def waiting(self, owner: str) -> list[OneTimeLink]:
        """Return the owner's unanswered links of every kind, the newest first."""
        opened = map(self._opened, await self._db.read(rows.unanswered, owner))
        return [link for link in opened if link is not None]

    async def answer(self, token: str, answer: str, entry: ConsentEntry | None = None) -> bool:
        """Record a person's answer; the first one counts."""
        link_id = _digest(token)

        def store(connection: Connection) -> bool:
            first = rows.answer(connection, link_id, self._kind, answer)
            if first:
                _note(connection, entry)
            return first

        first = await self._db.write(store)
        self._changed()
        return first

    async def spend(self, link: OneTimeLink, entry: ConsentEntry | None = None) -> bool:
        """End a link for good, and others about the same; False if another process was faster."""

        def store(connection: Connection) -> bool:
            spent = rows.spend(connection, link.row)
            if spent:
                _note(connection, entry)
            return spent

        spent = await self._db.write(store)
        self._changed()
        return spent

    async def close(self, owner: str, subject: str, entry: ConsentEntry | None = None) -> None:
        """End every link about this: it was done, or answered, by another way."""

        def store(connection: Connection) -> bool:
            _note(connection, entry)
            return rows.close(connection, self._kind, owner, subject)

        if await self._db.write(store):
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    def _opened(self, row: LinkRow | None) -> OneTimeLink | None:
        if row is None:
            return None
        try:
            sealed = SealedValue(row["key_id"], row["sealed"])
            text = self._vault.decrypt(row["owner"], _name(row["id"]), sealed)
        except StorageFailed:  # of a key that is not used any more
            return None
        opened = cast("dict[str, Any]", json.loads(text))
        return OneTimeLink(opened["token"], row["owner"], row["subject"], opened["data"], row["answer"], row)


def require_own(link: OneTimeLink | None, owner: str) -> None:
    """Raise Forbidden where a link is another owner's."""
    if link is not None and link.owner != owner:
        raise Forbidden(
            "This page is for another owner of this runtime than the one who is signed in.",
            hint="Sign out at / and sign in with a key of theirs.",
        )


def _note(connection: Connection, entry: ConsentEntry | None) -> None:
    if entry is not None:
        entry.note(connection)


def _name(link_id: str) -> str:
    """The name that the data is sealed for; no secret has such a name."""
    return f"link/{link_id}"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
