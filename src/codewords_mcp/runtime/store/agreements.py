"""What owners agreed to before they ran workflows of other owners."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from codewords_mcp.runtime.store.tables import agreements


def get(connection: Connection, owner: str, workflow_id: str) -> dict[str, Any] | None:
    """The manifest that an owner agreed to; None where there is none."""
    query = select(agreements.c.manifest).where(
        agreements.c.owner == owner, agreements.c.workflow_id == workflow_id
    )
    return connection.execute(query).scalar()


def put(connection: Connection, values: dict[str, Any]) -> None:
    """Store an agreement in place of the one before."""
    same = (agreements.c.owner == values["owner"]) & (agreements.c.workflow_id == values["workflow_id"])
    connection.execute(delete(agreements).where(same))
    connection.execute(insert(agreements).values(values))
