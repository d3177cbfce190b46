"""Agreements of owners to run workflows of other owners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from codewords_mcp.runtime.store.tables import agreements, workflows


def get(connection: Connection, owner: str, workflow_id: str) -> dict[str, Any] | None:
    """The manifest that an owner agreed to; None where there is none."""
    query = select(agreements.c.manifest).where(
        agreements.c.owner == owner, agreements.c.workflow_id == workflow_id
    )
    return connection.execute(query).scalar()


def put(connection: Connection, values: dict[str, Any]) -> None:
    """Store an agreement, replacing an earlier one for the same workflow."""
    same = (agreements.c.owner == values["owner"]) & (agreements.c.workflow_id == values["workflow_id"])
    connection.execute(delete(agreements).where(same))
    connection.execute(insert(agreements).values(values))


def of_owner(connection: Connection, owner: str) -> Sequence[RowMapping]:
    """The agreements of an owner with the name and owner (`author`) of each workflow, the newest first."""
    query = (
        select(agreements, workflows.c.name, workflows.c.owner.label("author"))
        .join(workflows, workflows.c.id == agreements.c.workflow_id)
        .where(agreements.c.owner == owner)
        .order_by(agreements.c.agreed_at.desc())
    )
    return connection.execute(query).mappings().all()


def remove(connection: Connection, owner: str, workflow_id: str) -> bool:
    """Remove an agreement; whether there was one."""
    same = (agreements.c.owner == owner) & (agreements.c.workflow_id == workflow_id)
    return connection.execute(delete(agreements).where(same)).rowcount > 0
