"""Numbered migrations by alembic, which is only imported when the database is not at HEAD (it costs 0.2 s)."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import schema

KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0010",
    "0021",
    "0022",
    "0023",
    "0024",
    "0025",
    "0026",
    "0030",
    "0031",
    "0032",
    "0033",
    "0034",
    "0035",
    "0036",
    "0037",
    "0038",
    "0039",
    "0040",
    "0041",
    "0042",
    "0043",
)
HEAD = KNOWN[-1]
LOCK = 0x636F6465
"""Of PostgreSQL's advisory locks, the one that a migration holds."""


def current(engine: Engine) -> str | None:
    """The database's version, None for a new one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, target: str = HEAD) -> None:
    """Bring the database to this version, in one transaction.

    Raises StorageFailed for one made by a newer release, and for one that lacks parts of the version that it says it has.
    """
    version = current(engine)
    if version == target:
        if version == HEAD:
            schema.require_fit(engine, version, schema.columns_of_head())
        return
    if version is not None and version not in KNOWN:
        raise StorageFailed(
            f"This home was made by a newer version of codewords-mcp (its database is at {version}; this one knows {HEAD}).",
            hint="Upgrade codewords-mcp, or set CODEWORDS_HOME to another folder. Nothing was changed.",
        )
    if version is not None:
        schema.require_fit(engine, version, schema.columns_at(version))
    with engine.begin() as connection:
        if (
            connection.dialect.name == "postgresql"
        ):  # replicas that start at once: one migrates, the others find it done
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        upgrade(connection, target)


def upgrade(connection: Connection, target: str) -> None:
    """Run the migrations up to this version on an open connection."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)
