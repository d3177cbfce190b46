"""Workflows and their immutable versions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from codewords_mcp.runtime.model.deletion import Deletion
from codewords_mcp.runtime.model.run_state import SUSPENDED, UNFINISHED
from codewords_mcp.runtime.store import triggers
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.tables import (
    drafts,
    published,
    runs,
    schedules,
    versions,
    webhooks,
    workflows,
)


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow and its live version. Times in µs.

    `template`: its category among the owner's templates, if it is one. `config`: its plain configuration values by
    variable, None without any.
    """

    id: str
    owner: str
    name: str
    description: str
    public: bool
    created_at: int
    updated_at: int
    active_version: int
    template: str | None = None
    config: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version. `manifest` says what it may do; None for versions older than manifests.

    `example` is the example input of the deploy, None without one; `deployed_by` names who deployed it, None for
    versions from before this was kept.
    """

    id: str
    workflow_id: str
    number: int
    code: str
    code_hash: str
    environment: str
    openapi: dict[str, Any]
    checks: list[dict[str, Any]]
    description: str
    created_at: int
    manifest: dict[str, Any] | None = None
    example: Any = None
    deployed_by: str | None = None


_LATEST = (1 << 62, "")
_NUMBERS = 1 << 31
"""The numbers of versions are below it: an INTEGER of PostgreSQL."""


def add(connection: Connection, row: WorkflowRow) -> None:
    """A new workflow. Raises IntegrityError when the id or the owner's name is taken."""
    connection.execute(insert(workflows).values({name: getattr(row, name) for name in WorkflowRow.__slots__}))


def get(connection: Connection, workflow_id: str) -> WorkflowRow | None:
    """Return a workflow of any owner by id."""
    row = connection.execute(select(workflows).where(workflows.c.id == workflow_id)).mappings().first()
    if row:
        return WorkflowRow(**row)
    return None


def by_name(connection: Connection, owner: str, name: str) -> WorkflowRow | None:
    """The owner's workflow of this name."""
    row = (
        connection.execute(select(workflows).where(workflows.c.owner == owner, workflows.c.name == name))
        .mappings()
        .first()
    )
    if row:
        return WorkflowRow(**row)
    return None


def page(
    connection: Connection,
    owner: str,
    *,
    query: str,
    limit: int,
    after: tuple[int, str] | None,
    only: str | None = None,
) -> list[WorkflowRow]:
    """Newest change first. `only`: no workflow but this one."""
    statement = select(workflows).where(workflows.c.owner == owner)
    if only is not None:
        statement = statement.where(workflows.c.id == only)
    if query:
        text = workflows.c.name + " " + workflows.c.description + " " + workflows.c.id
        # SQLite and PostgreSQL lower different letters, so the text is also matched as it is typed.
        lowered = func.lower(text).contains(query.lower(), autoescape=True)
        statement = statement.where(or_(lowered, text.contains(query, autoescape=True)))

    # By time and id: of workflows with one time some would be skipped, or shown twice. The first page has a bound, too, so that
    # it is read in the index's order.
    before = tuple_(workflows.c.updated_at, workflows.c.id) < (after or _LATEST)
    statement = (
        statement.where(before).order_by(workflows.c.updated_at.desc(), workflows.c.id.desc()).limit(limit)
    )
    return [WorkflowRow(**row) for row in connection.execute(statement).mappings()]


def templates(connection: Connection, owner: str) -> list[WorkflowRow]:
    """The owner's that are templates, by name."""
    query = select(workflows).where(workflows.c.owner == owner, workflows.c.template.is_not(None))
    return [WorkflowRow(**row) for row in connection.execute(query.order_by(workflows.c.name)).mappings()]


def change(connection: Connection, workflow_id: str, values: dict[str, Any]) -> None:
    """Set columns of a workflow."""
    connection.execute(update(workflows).where(workflows.c.id == workflow_id).values(values))


def count(connection: Connection) -> int:
    """All workflows of the home."""
    return connection.execute(select(func.count()).select_from(workflows)).scalar_one()


def add_version(connection: Connection, row: VersionRow) -> None:
    """A new version. Raises IntegrityError when the number is taken."""
    connection.execute(insert(versions).values({name: getattr(row, name) for name in VersionRow.__slots__}))


def version(connection: Connection, workflow_id: str, number: int) -> VersionRow | None:
    """One version, whole; None for a number that no version has."""
    # A caller may name any number, and one that the column cannot hold is an error of the database.
    if not 0 < number < _NUMBERS:
        return None
    row = (
        connection.execute(
            select(versions).where(versions.c.workflow_id == workflow_id, versions.c.number == number)
        )
        .mappings()
        .first()
    )
    if row:
        return VersionRow(**row)

    return None


def change_check(connection: Connection, workflow_id: str, number: int, check: dict[str, Any]) -> None:
    """Put a check of a version in place of that with the same id; nothing where the version is gone."""
    of_version = (versions.c.workflow_id == workflow_id) & (versions.c.number == number)
    # Locked, since another check of this version may end in another process.
    found = connection.execute(select(versions.c.checks).where(of_version).with_for_update()).scalar()
    if found is None:
        return
    changed = [check if one["id"] == check["id"] else one for one in found]
    connection.execute(update(versions).where(of_version).values(checks=changed))


def next_number(connection: Connection, workflow_id: str) -> int:
    """One more than the highest version number."""
    return (
        connection.execute(
            select(func.max(versions.c.number)).where(versions.c.workflow_id == workflow_id)
        ).scalar()
        or 0
    ) + 1


def list_versions(connection: Connection, workflow_id: str) -> list[RowMapping]:
    """id, number, description, created_at, deployed_by of every version, newest first."""
    columns = versions.c
    query = select(columns.id, columns.number, columns.description, columns.created_at, columns.deployed_by)
    return list(
        connection.execute(
            query.where(versions.c.workflow_id == workflow_id).order_by(versions.c.number.desc())
        ).mappings()
    )


def environments_in_use(connection: Connection, newest: int) -> set[str]:
    """Return the environments of live versions, and of the `newest` latest versions of each
    workflow.
    """
    rank = (
        func.row_number()
        .over(partition_by=versions.c.workflow_id, order_by=versions.c.number.desc())
        .label("rank")
    )
    query = select(versions.c.environment, versions.c.number, workflows.c.active_version, rank)
    ranked = query.join(workflows, workflows.c.id == versions.c.workflow_id).subquery()
    needed = or_(ranked.c.rank <= newest, ranked.c.number == ranked.c.active_version)
    return set(connection.execute(select(ranked.c.environment).where(needed).distinct()).scalars())


def live_with(connection: Connection, environments: Collection[str]) -> list[tuple[str, str]]:
    """(id, code) of the workflows whose live version uses one of these environments."""
    query = select(workflows.c.id, versions.c.code).join(
        versions,
        (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.active_version),
    )
    rows = connection.execute(query.where(versions.c.environment.in_(environments)))
    return [(row.id, row.code) for row in rows]


def remove(connection: Connection, workflow_id: str) -> None:
    """Delete a workflow with its versions, schedules, webhooks and publications.

    Its runs and deliveries stay; drafts of it become drafts of new workflows. Triggers of event sources are paused.
    """
    workflow = get(connection, workflow_id)
    if workflow is not None:
        triggers.workflow_removed(connection, workflow_id, workflow.owner, now())
    connection.execute(delete(published).where(published.c.workflow_id == workflow_id))
    connection.execute(delete(schedules).where(schedules.c.service_id == workflow_id))
    connection.execute(delete(webhooks).where(webhooks.c.service_id == workflow_id))
    orphan = {"workflow_id": None, "base_version": None}
    connection.execute(update(drafts).where(drafts.c.workflow_id == workflow_id).values(orphan))
    # Versions refer to their workflow and are not deleted with it by the database.
    connection.execute(delete(versions).where(versions.c.workflow_id == workflow_id))
    connection.execute(delete(workflows).where(workflows.c.id == workflow_id))


def count_unfinished_runs(connection: Connection, workflow_id: str) -> int:
    """Count its runs that have not ended."""
    unfinished = (runs.c.service_id == workflow_id) & runs.c.status.in_(UNFINISHED)
    # A replay needs nothing of the workflow any more.
    unfinished &= runs.c.mode.is_distinct_from("replay")
    return connection.execute(select(func.count()).select_from(runs).where(unfinished)).scalar_one()


def count_for_deletion(connection: Connection, workflow_id: str) -> Deletion:
    """Count what goes with a workflow, but its databases, which are stored elsewhere."""

    def count(table: Table, condition: ColumnElement[bool]) -> int:
        return connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()

    return Deletion(
        versions=count(versions, versions.c.workflow_id == workflow_id),
        schedules=count(schedules, schedules.c.service_id == workflow_id),
        webhooks=count(webhooks, webhooks.c.service_id == workflow_id),
        triggers=triggers.count_affected(connection, workflow_id),
        waiting=len(suspended_runs(connection, workflow_id)),
    )


def suspended_runs(connection: Connection, workflow_id: str) -> list[str]:
    """Its runs that wait for an answer, a request or a time without a sandbox."""
    suspended = (runs.c.service_id == workflow_id) & (runs.c.status == "queued")
    suspended &= runs.c.executor.is_(None) & runs.c.waits_for.in_(SUSPENDED)
    return list(connection.execute(select(runs.c.id).where(suspended)).scalars())


def live_manifests(connection: Connection, workflow_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Manifests of live versions by workflow, of those that have one."""
    query = select(versions.c.workflow_id, versions.c.manifest).join(
        workflows,
        (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.active_version),
    )
    rows = connection.execute(query.where(workflows.c.id.in_(workflow_ids), versions.c.manifest.is_not(None)))
    return {row.workflow_id: row.manifest for row in rows if row.manifest is not None}


def live_versions(connection: Connection, owner: str) -> list[tuple[str, str]]:
    """(name, id of the live version) of the owner's workflows."""
    query = select(workflows.c.name, versions.c.id).join(
        versions,
        (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.active_version),
    )
    found = connection.execute(query.where(workflows.c.owner == owner))
    return [(name, version_id) for name, version_id in found.all()]


def codes(connection: Connection, version_ids: list[str]) -> dict[str, str]:
    """Version id → code."""
    query = select(versions.c.id, versions.c.code).where(versions.c.id.in_(version_ids))
    return {row.id: row.code for row in connection.execute(query)}
