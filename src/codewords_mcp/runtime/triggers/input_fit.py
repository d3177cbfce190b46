"""Judges inputs of triggers by the workflows that they start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection

from codewords_mcp.runtime.store import workflows
from codewords_mcp.runtime.store.database import Database

FindMisfit = Callable[[dict[str, Any], str, str, Any], str | None]
"""`find_misfit(openapi, method, path, input)`: the fault of an input; None if the route takes it."""


class InputFit:
    """Judges inputs by the live versions of workflows."""

    def __init__(self, database: Database, find_misfit: FindMisfit) -> None:
        self._db = database
        self._find_misfit = find_misfit

    async def fault(self, owner: str, service_id: str, method: str, path: str, value: object) -> str | None:
        """Return the fault of an input; None if it fits, or if the workflow is not the owner's to know."""

        def openapi(connection: Connection) -> dict[str, Any] | None:
            workflow = workflows.get(connection, service_id)
            if workflow is None or not (workflow.owner == owner or workflow.public):
                return None
            version = workflows.version(connection, workflow.id, workflow.active_version)
            return version.openapi if version else None

        document = await self._db.read(openapi)
        if document is None:
            return None

        return await self.fault_of(document, method, path, value)

    async def fault_of(self, openapi: dict[str, Any], method: str, path: str, value: object) -> str | None:
        """Return the fault of an input by an OpenAPI document; None if it fits."""
        # In a thread: a schema may be large.
        return await asyncio.to_thread(self._find_misfit, openapi, method, path, value)
