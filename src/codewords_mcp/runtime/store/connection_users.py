"""The workflows that use connected accounts, with what starts them."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Connection, select

from codewords_mcp.runtime.model.integration import AppUser
from codewords_mcp.runtime.model.integration_names import family
from codewords_mcp.runtime.store.tables import schedules, triggers, versions, webhooks, workflows

_NAME = 80


def users_of_apps(connection: Connection, owner: str) -> dict[str, list[AppUser]]:
    """The owner's workflows by the names of the apps that their live versions may use."""
    live = (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.active_version)
    query = select(workflows.c.id, workflows.c.name, versions.c.manifest).join(versions, live)
    rows = connection.execute(query.where(workflows.c.owner == owner).order_by(workflows.c.name)).all()

    starts = _starts(connection, owner)
    users: defaultdict[str, list[AppUser]] = defaultdict(list)
    for row in rows:
        user = AppUser(workflow_id=row.id, name=row.name, triggers=tuple(starts[row.id]))
        for app in sorted(_apps(row.manifest or {})):
            users[app].append(user)
    return users


def _apps(manifest: dict[str, list[str]]) -> set[str]:
    connected = {name for app in manifest.get("connections", ()) for name in family(app)}
    acting = {action.partition(":")[0] for action in manifest.get("actions", ())}
    return connected | {name for app in acting for name in family(app)}


def _starts(connection: Connection, owner: str) -> defaultdict[str, list[str]]:
    """Words for what starts each workflow."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    timed = select(schedules.c.service_id, schedules.c.name, schedules.c.cron)
    for row in connection.execute(timed.where(schedules.c.owner == owner).order_by(schedules.c.created_at)):
        found[row.service_id].append(f"schedule {row.name or row.cron or 'once'}"[:_NAME])
    sent = select(webhooks.c.service_id, webhooks.c.name, webhooks.c.kind)
    for row in connection.execute(sent.where(webhooks.c.owner == owner).order_by(webhooks.c.created_at)):
        found[row.service_id].append(f"webhook {row.name or row.kind}"[:_NAME])
    watched = select(triggers.c.service_id, triggers.c.name, triggers.c.kind)
    for row in connection.execute(watched.where(triggers.c.owner == owner).order_by(triggers.c.created_at)):
        found[row.service_id].append(f"{row.kind} {row.name}".strip()[:_NAME])
    return found
