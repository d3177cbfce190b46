"""Calls of library services that failed within a run."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.model.run_columns import ErrorEntry
from codewords_mcp.runtime.store.tables import runs

NO_ACCESS = ("not_connected", "missing_credential")
"""Codes of errors that a person ends: by connecting an account, or by setting a secret."""


def last_without_access(connection: Connection, run_id: str) -> ErrorEntry | None:
    """The error of a run's last call of a service, where an account or credential was missing or refused."""
    # Calls of services are runs without a version.
    query = select(runs.c.error).where(runs.c.parent_id == run_id, runs.c.version.is_(None))
    error = connection.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1)).scalar()
    if error is not None and error.get("code") in NO_ACCESS:
        return error
    return None


def without_access(connection: Connection, run_ids: Sequence[str]) -> dict[str, ErrorEntry]:
    """See `last_without_access`, for several runs."""
    query = select(runs.c.parent_id, runs.c.error).where(
        runs.c.parent_id.in_(run_ids), runs.c.version.is_(None)
    )
    # The last of each run stays.
    last = {
        row.parent_id: row.error for row in connection.execute(query.order_by(runs.c.created_at, runs.c.id))
    }
    return {id_: error for id_, error in last.items() if error is not None and error.get("code") in NO_ACCESS}


def app_of(error: ErrorEntry) -> str | None:
    """The app whose account an error is about; None where it is about a secret."""
    app = object_of(error.get("remedy", {}).get("arguments")).get("app")
    return app if isinstance(app, str) else None
