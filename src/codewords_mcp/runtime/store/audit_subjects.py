"""Decides whether a text that a caller sent names a thing of the home."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, or_, select

from codewords_mcp.runtime.model.mcp import PREFIX as MCP_PREFIX
from codewords_mcp.runtime.store import tables

_WORKFLOW: Final = tables.workflows.c.id
_COLUMNS: Final = {
    "service_id": _WORKFLOW, "workflow_id": _WORKFLOW, "draft_id": tables.drafts.c.id, "run_id": tables.runs.c.id,
    "schedule_id": tables.schedules.c.id, "trigger_id": tables.triggers.c.id, "webhook_id": tables.webhooks.c.id,
    "delivery_id": tables.webhook_deliveries.c.id, "key_id": tables.keys.c.id, "alert_id": tables.alerts.c.id,
    "replay_id": tables.replays.c.id, "member_id": tables.members.c.id, "passkey_id": tables.passkeys.c.id,
    "mcp_server": tables.mcp_servers.c.name, "name": tables.secrets.c.name, "tool": tables.published.c.tool,
}  # fmt: skip
"""Columns with the names of each kind."""


def names_a_thing(connection: Connection, owner: str | None, kind: str, text: str) -> bool:
    """Whether a text is the id or name of a thing of this kind that the owner may know of."""
    if kind == "app" and text.startswith(MCP_PREFIX):
        kind, text = "mcp_server", text.removeprefix(MCP_PREFIX)
    column = _COLUMNS.get(kind)
    if column is None or not owner or len(text) > 200 or "\0" in text:
        return False
    # Another owner's things are not confirmed to whoever asks for them.
    query = select(column).where(column == text).limit(1)
    if column is _WORKFLOW:
        query = query.where(or_(tables.workflows.c.owner == owner, tables.workflows.c.public))
    elif "owner" in column.table.c:
        query = query.where(column.table.c.owner == owner)
    found = connection.execute(query)
    return found.first() is not None
