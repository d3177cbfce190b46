"""Numbered migrations by alembic, which costs 0.2 s and is imported only for a database below
`HEAD`.

A migration is a module in `versions/`, and its revision is the name of its file.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, text

from codewords_mcp.common.frozen_imports import hidden
from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import schema
from codewords_mcp.runtime.store.migrations import before_release

_FOLDER = Path(__file__).parent
REVISIONS = tuple(sorted(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py")))
HEAD = REVISIONS[-1]
LOCK = 0x636F6465
"""PostgreSQL's advisory lock of migrations."""


def current(engine: Engine) -> str | None:
    """Return the database's revision, None for a new database."""
    with engine.connect() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, target: str = HEAD) -> None:
    """Bring the database to this revision, in one transaction.

    Raises StorageFailed for a database of a newer release, or one that lacks parts of its revision.
    """
    revision = current(engine)
    if revision is not None and revision == target:
        if revision == HEAD:
            schema.require_fit(engine, revision, schema.columns_of_head())
        return

    if revision in before_release.REVISIONS:
        schema.require_fit(engine, revision, before_release.columns_at(revision))
    elif revision in REVISIONS:
        schema.require_fit(engine, revision, columns_at(revision))
    elif revision is not None:
        raise StorageFailed(
            f"This home was made by a newer version of codewords-mcp (its database is at {revision}; this one knows {HEAD}).",
            hint="Upgrade codewords-mcp, or set CODEWORDS_HOME to another folder. Nothing was changed.",
        )

    with engine.begin() as connection:
        # Of replicas that start at once, one migrates and the others find it done.
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})

        # Read again under the lock: another replica may have migrated meanwhile.
        if _current(connection) in before_release.REVISIONS:
            before_release.upgrade(connection, stamp=REVISIONS[0])
        upgrade(connection, target)


def upgrade(connection: Connection, target: str) -> None:
    """Run the migrations up to this revision on an open connection."""
    # Mako, which alembic has for new migrations, colours the code in its errors where it can.
    with hidden("pygments"):
        from alembic import command
        from alembic.config import Config

    config = Config()
    # A percent sign begins an interpolation in the format of this configuration.
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def columns_at(version: str) -> schema.Columns:
    """Return the tables and columns that the migrations up to this version make."""
    # The migrations themselves tell, on a database in memory: a list of columns for each
    # version would age.
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        upgrade(connection, version)
        found = schema.columns_of(connection)
    engine.dispose()
    return found
