"""Agreements of owners to run workflows of other owners."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from codewords_mcp.common.bounded_json import JsonObject
from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.rows import AgreementRow, ListedAgreement
from codewords_mcp.runtime.store.tables import agreements, workflows


def get(connection: Connection, owner: str, workflow_id: str) -> JsonObject | None:
    """The manifest that an owner agreed to; None where there is none."""
    query = select(agreements.c.manifest).where(
        agreements.c.owner == owner, agreements.c.workflow_id == workflow_id
    )
    return connection.execute(query).scalar()


def put(connection: Connection, values: AgreementRow) -> None:
    """Store an agreement, replacing an earlier one for the same workflow."""
    inserts.put(connection, agreements, values)


def of_owner(connection: Connection, owner: str) -> list[ListedAgreement]:
    """The agreements of an owner with the name and owner (`author`) of each workflow, the newest first."""
    query = (
        select(agreements, workflows.c.name, workflows.c.owner.label("author"))
        .join(workflows, workflows.c.id == agreements.c.workflow_id)
        .where(agreements.c.owner == owner)
        .order_by(agreements.c.agreed_at.desc())
    )
    return [ListedAgreement(**row) for row in connection.execute(query).mappings()]


def remove(connection: Connection, owner: str, workflow_id: str) -> str | None:
    """Remove an agreement; the digest of its permissions, None if there was none."""
    same = (agreements.c.owner == owner) & (agreements.c.workflow_id == workflow_id)
    digest = connection.execute(select(agreements.c.digest).where(same)).scalar()
    connection.execute(delete(agreements).where(same))
    return digest
