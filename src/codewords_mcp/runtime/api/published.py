"""Workflows that are published as tools."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from codewords_mcp.common.json_parts import text_of
from codewords_mcp.errors import InvalidInput, NotFound, TooBusy
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.publishing import (
    PublishedTool,
    check_name,
    choose_route,
    input_schema,
    operation_of,
    tool_name,
)
from codewords_mcp.runtime.store import published as rows
from codewords_mcp.runtime.store import workflows as workflow_rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.rows import PublishedRow
from codewords_mcp.runtime.store.unknown_ids import no_workflow

RUNTIME_TOOLS = frozenset(rule.name for rule in TABLE if rule.kind == "tool")
MOST = 200
"""Published tools of an owner."""


class PublishedApi:
    """Workflows that are published as tools."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def add(
        self,
        caller: Caller,
        service_id: str,
        *,
        tool: str | None = None,
        toolset: str = "published",
        path: str | None = None,
        read_only: bool = False,
    ) -> PublishedTool:
        """Make a workflow's route a tool of its owner's; the same name again replaces it.

        Raises NotFound, InvalidInput, TooBusy beyond `MOST`.
        """
        refuse_run(caller, "publish workflows")

        def put(connection: Connection) -> str:
            # Read and written in one transaction: the route must be one of the version that is
            # live now.
            workflow = workflow_rows.get(connection, service_id)
            if workflow is None or workflow.owner != caller.owner:
                raise no_workflow(connection, caller.owner, service_id)

            name = check_name(tool or tool_name(workflow.name))
            # A published tool must not pass for one of the runtime's.
            if name in RUNTIME_TOOLS:
                raise InvalidInput("A tool of the runtime has this name.", hint="Give another with --name.")
            version = workflow_rows.version(connection, service_id, workflow.active_version)
            where, method, _ = choose_route(version.openapi if version else {}, path)
            if rows.count(connection, caller.owner) >= MOST:
                raise TooBusy(f"{MOST} workflows are published.", retry_after=60, hint="Unpublish one first.")

            values: PublishedRow = {
                "owner": caller.owner,
                "tool": name,
                "workflow_id": service_id,
                "toolset": toolset,
                "route": where,
                "method": method,
                "read_only": read_only,
                "created_at": now(),
            }
            rows.put(connection, values)
            return name

        name = await self._container.database.write(put)
        # Connected hosts list tools once and ask again only after this event.
        self._container.announcements.announce(caller.owner, "tools")

        return next(published for published in await self.list(caller) if published.tool == name)

    async def remove(self, caller: Caller, tool: str) -> None:
        """Unpublish a tool. The workflow stays. Raises NotFound."""
        refuse_run(caller, "unpublish workflows")
        if not await self._container.database.write(rows.remove, caller.owner, tool):
            raise NotFound("No tool of that name is published.", remedy=Remedy(RemedyAction.LIST_PUBLISHED))
        self._container.announcements.announce(caller.owner, "tools")

    async def list(self, caller: Caller) -> list[PublishedTool]:
        """List the caller's tools by name, as the live versions describe them."""
        refuse_run(caller, "list published workflows")
        found = await self._container.database.read(rows.of_owner, caller.owner)
        return [_tool(dict(row)) for row in found]


def _tool(row: dict[str, Any]) -> PublishedTool:
    openapi: dict[str, Any] = row["openapi"]
    schema, wrapped = input_schema(openapi, row["route"], row["method"])
    operation = operation_of(openapi, row["route"], row["method"])
    return PublishedTool(
        tool=row["tool"],
        workflow_id=row["workflow_id"],
        toolset=row["toolset"],
        title=row["name"],
        description=text_of(operation.get("description"))
        or row["description"]
        or text_of(operation.get("summary")),
        path=row["route"],
        method=row["method"],
        read_only=row["read_only"],
        input_schema=schema,
        wrapped=wrapped,
    )
