"""Sign-ins at MCP servers that go on: their person is at the authorization server and will come back, to any replica."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from codewords_mcp.runtime.store.tables import mcp_sign_ins

MAX_SIGN_INS: Final = 50
"""Sign-ins of one owner that go on at once."""


class SignInRow(NamedTuple):
    """`id` is a digest of its state, `link` the page to go on with afterwards."""

    id: str
    server: str
    link: str
    sealed: bytes


def add(connection: Connection, owner: str, row: SignInRow, at: int, *, expires_at: int) -> None:
    """Add one. Those that expired go, and beyond the limit the owner's oldest."""
    connection.execute(delete(mcp_sign_ins).where(mcp_sign_ins.c.expires_at <= at))
    oldest = (
        select(mcp_sign_ins.c.id)
        .where(mcp_sign_ins.c.owner == owner)
        .order_by(mcp_sign_ins.c.expires_at.desc(), mcp_sign_ins.c.id)
        .offset(MAX_SIGN_INS - 1)
    )
    surplus = list(connection.execute(oldest).scalars())
    connection.execute(delete(mcp_sign_ins).where(mcp_sign_ins.c.id.in_(surplus)))
    values = {**row._asdict(), "owner": owner, "expires_at": expires_at}
    connection.execute(insert(mcp_sign_ins).values(values))


def take(connection: Connection, owner: str, identity: str, at: int) -> SignInRow | None:
    """Remove a sign-in of the owner and return it; None if there is none that still goes on."""
    one = (mcp_sign_ins.c.id == identity) & (mcp_sign_ins.c.owner == owner)
    columns = [mcp_sign_ins.c[name] for name in SignInRow._fields]
    row = connection.execute(select(*columns).where(one, mcp_sign_ins.c.expires_at > at)).first()
    # Of two requests with one state, the one whose row it was goes on.
    if row is None or connection.execute(delete(mcp_sign_ins).where(one)).rowcount != 1:
        return None
    return SignInRow(*row)
