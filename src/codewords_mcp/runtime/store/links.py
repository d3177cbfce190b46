"""One-time links as they are stored: by the digest of their token, which is not stored."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from codewords_mcp.runtime.store.consent_entries import ConsentEvent, note_ended
from codewords_mcp.runtime.store.executors import clock
from codewords_mcp.runtime.store.first_row import first_row
from codewords_mcp.runtime.store.rows import LinkRow, NewLink
from codewords_mcp.runtime.store.tables import links


def add(connection: Connection, values: NewLink, ttl: float, *, max_of_owner: int, max_total: int) -> None:
    """Store a new link that lives for `ttl` seconds.

    Beyond `max_of_owner` links of the owner, or `max_total` of the kind, the oldest ones are
    removed.
    """
    at = clock(connection)
    # Expired ones go first, since they would count for the bounds below.
    purge(connection)
    of_kind = links.c.kind == values["kind"]
    _remove_oldest(connection, of_kind & (links.c.owner == values["owner"]), max_of_owner)
    _remove_oldest(connection, of_kind, max_total)
    connection.execute(insert(links).values({**values, "created_at": at, "expires_at": at + int(ttl * 1e6)}))


def _remove_oldest(connection: Connection, which: ColumnElement[bool], maximum: int) -> None:
    count = connection.execute(select(func.count()).select_from(links).where(which)).scalar_one()
    if count >= maximum:
        oldest = select(links.c.id).where(which).order_by(links.c.created_at).limit(count - maximum + 1)
        end(connection, links.c.id.in_(oldest), "expired")


def purge(connection: Connection) -> None:
    """Remove links whose time is over."""
    end(connection, links.c.expires_at <= clock(connection), "expired")


def end(connection: Connection, which: ColumnElement[bool], event: ConsentEvent) -> int:
    """Remove links that were not used. Questions among them get an entry in the audit trail. Returns their number."""
    found = [LinkRow(**row) for row in connection.execute(select(links).where(which)).mappings()]
    if found:
        connection.execute(delete(links).where(links.c.id.in_([row["id"] for row in found])))
        note_ended(connection, found, event)
    return len(found)


def renew(connection: Connection, link_id: str, ttl: float) -> bool:
    """Let an unanswered link live for `ttl` seconds from now; False if it is expired or answered."""
    at = clock(connection)
    which = (links.c.id == link_id, links.c.answer.is_(None), links.c.expires_at > at)
    return (
        connection.execute(update(links).where(*which).values(expires_at=at + int(ttl * 1e6))).rowcount == 1
    )


def get(connection: Connection, link_id: str, kind: str) -> LinkRow | None:
    """A link that has not expired."""
    which = select(links).where(
        links.c.id == link_id, links.c.kind == kind, links.c.expires_at > clock(connection)
    )
    return first_row(connection, which, LinkRow)


def about(connection: Connection, kind: str, owner: str, subject: str) -> LinkRow | None:
    """A link about this, that has not expired; an answered one before others, then the newest."""
    which = select(links).where(
        links.c.kind == kind,
        links.c.owner == owner,
        links.c.subject == subject,
        links.c.expires_at > clock(connection),
    )
    # Answered ones come first: false sorts before true on both databases.
    ordered = which.order_by(links.c.answer.is_(None), links.c.created_at.desc())
    return first_row(connection, ordered, LinkRow)


def unanswered(connection: Connection, owner: str) -> list[LinkRow]:
    """The owner's links of every kind without an answer, that have not expired; the newest first."""
    which = select(links).where(
        links.c.owner == owner, links.c.answer.is_(None), links.c.expires_at > clock(connection)
    )
    found = connection.execute(which.order_by(links.c.created_at.desc())).mappings()
    return [LinkRow(**row) for row in found]


def answer(connection: Connection, link_id: str, kind: str, text: str) -> bool:
    """Record an answer; False where there is one already, or no such link."""
    which = (links.c.id == link_id, links.c.kind == kind, links.c.expires_at > clock(connection))
    statement = update(links).where(*which, links.c.answer.is_(None)).values(answer=text)
    return connection.execute(statement).rowcount == 1


def spend(connection: Connection, row: LinkRow) -> bool:
    """End a link as it was read, and other links about the same; False if it changed meanwhile.

    Only this link's own row decides: a question that was put again after a concurrent spending is
    another one.
    """
    own = delete(links).where(links.c.id == row["id"], links.c.answer.is_not_distinct_from(row["answer"]))
    # Who deleted the row has spent the link: of two at the same moment the other one finds none.
    if connection.execute(own).rowcount != 1:
        return False

    close(connection, row["kind"], row["owner"], row["subject"])
    return True


def close(connection: Connection, kind: str, owner: str, subject: str) -> bool:
    """End every link about this, since it is done or answered; whether there was one."""
    same = (links.c.kind == kind, links.c.owner == owner, links.c.subject == subject)
    return connection.execute(delete(links).where(*same)).rowcount > 0
