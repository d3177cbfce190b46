"""Workflows that their owners published as tools."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from codewords_mcp.runtime.store import inserts
from codewords_mcp.runtime.store.rows import ListedPublication, PublishedRow
from codewords_mcp.runtime.store.tables import published, versions, workflows


def put(connection: Connection, values: PublishedRow) -> None:
    """Publish, or publish anew under the same name."""
    inserts.put(connection, published, values)


def remove(connection: Connection, owner: str, tool: str) -> bool:
    """Whether it was published."""
    mine = (published.c.owner == owner) & (published.c.tool == tool)
    return connection.execute(delete(published).where(mine)).rowcount == 1


def count(connection: Connection, owner: str) -> int:
    """Count the owner's published workflows."""
    query = select(func.count()).select_from(published).where(published.c.owner == owner)
    return connection.execute(query).scalar_one()


def has(connection: Connection, workflow_id: str) -> bool:
    """Whether a workflow is published."""
    query = select(published.c.tool).where(published.c.workflow_id == workflow_id).limit(1)
    return connection.execute(query).first() is not None


def of_owner(connection: Connection, owner: str) -> list[ListedPublication]:
    """By name, each with its workflow's name, description and live OpenAPI."""
    live = (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.active_version)
    query = (
        select(published, workflows.c.name, workflows.c.description, versions.c.openapi)
        .join(workflows, workflows.c.id == published.c.workflow_id)
        .join(versions, live)
        .where(published.c.owner == owner)
        .order_by(published.c.tool)
    )
    return [ListedPublication(**row) for row in connection.execute(query).mappings()]
