"""Databases of workflows: one for each workflow and owner, an SQLite file in the home or a schema of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.worker_command import WorkerCommand
from codewords_mcp.runtime.store.workflow_databases.base import WorkflowDatabases


def open_databases(
    database: Database, home: Path, derive: Callable[[str], bytes], command: WorkerCommand
) -> WorkflowDatabases:
    """The databases of workflows, beside the home's own: files for processes of `command`, or schemas of its PostgreSQL."""
    if database.shared:
        from codewords_mcp.runtime.store.workflow_databases.postgres import PostgresDatabases

        return PostgresDatabases(database.engine, derive)

    from codewords_mcp.runtime.store.workflow_databases.sqlite import SqliteDatabases

    return SqliteDatabases(home, command)
