"""Numbered migrations by alembic, which costs 0.2 s and is imported only for a database below
`HEAD`.

A migration is a module in `versions/`, and its revision is the name of its file. It only adds: tables, and columns that
may be empty. So replicas of the release before go on beside it, and can be started again on the database that it made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from codewords_mcp.common.frozen_imports import hidden
from codewords_mcp.errors import StorageFailed
from codewords_mcp.runtime.store import schema
from codewords_mcp.runtime.store.migrations import copies

_FOLDER = Path(__file__).parent
REVISIONS = tuple(sorted(path.stem for path in (_FOLDER / "versions").glob("[0-9]*.py")))
HEAD = REVISIONS[-1]
LOCK = 0x636F6465
"""PostgreSQL's advisory lock of migrations."""
FIRST_COMPATIBLE = "0018_secret_sources"
"""The first revision whose release goes on with databases of later ones."""
COMPATIBLE = "schema_compatible"
"""Name in the table `meta`, with JSON: `revision`, and the `revisions` whose releases can use a database of it."""
LOCK_TIMEOUT, LOCK_ATTEMPTS, LOCK_PAUSE = 2.0, 15, 2.0
"""Seconds that a migration waits for a table, its attempts, and seconds between two of them."""
_LOCK_NOT_AVAILABLE = "55P03"
"""PostgreSQL's code of a lock that was not to be had in time."""


def current(engine: Engine) -> str | None:
    """Return the database's revision, None for a new database."""
    with engine.connect() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, target: str = HEAD) -> None:
    """Bring the database to this revision, in one transaction. One of a later revision that only added to it is left as it is.

    Raises StorageFailed for a database of a newer release that needs a newer one, one that lacks parts of its revision,
    and one whose tables others hold locked.
    """
    revision = current(engine)
    if revision is not None and revision == target:
        if revision == HEAD:
            schema.require_fit(engine, revision, schema.columns_of_head())
        if path := _file(engine):
            copies.remove_old_copies(path)
        return

    # Imported here: it has all tables of the first release, beside those of this one.
    from codewords_mcp.runtime.store.migrations import before_release

    if revision in before_release.REVISIONS:
        schema.require_fit(engine, revision, before_release.columns_at(revision))
    elif revision in REVISIONS:
        schema.require_fit(engine, revision, columns_at(revision))
    elif revision is not None:
        if HEAD not in _compatible(engine, revision):
            raise StorageFailed(
                f"This home was made by a newer version of codewords-mcp (its database is at {revision}; this one knows {HEAD}).",
                hint="Upgrade codewords-mcp, or set CODEWORDS_HOME to another folder. Nothing was changed.",
            )
        schema.require_fit(engine, revision, schema.columns_of_head())
        return

    if revision is not None and (path := _file(engine)):
        copies.copy_before(path, target)
    for attempts_left in reversed(range(LOCK_ATTEMPTS)):
        try:
            _migrate(engine, target)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if not attempts_left:
                raise StorageFailed(
                    "The database could not be brought up to date: a long transaction has its tables. Nothing was changed.",
                    hint="Wait for the end of a dump or a report on this database, and start again.",
                ) from error
            time.sleep(LOCK_PAUSE)
        else:
            return


def _file(engine: Engine) -> Path | None:
    """The file of an SQLite database; None for one in memory or of a server."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name)


def _migrate(engine: Engine, target: str) -> None:
    from codewords_mcp.runtime.store.migrations import before_release

    with engine.begin() as connection:
        # Of replicas that start at once, one migrates and the others find it done.
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
            # A change of a table that waits for a dump would keep all others waiting for the change.
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'")

        # Read again under the lock: another replica may have migrated meanwhile.
        if _current(connection) in before_release.REVISIONS:
            before_release.upgrade(connection, stamp=REVISIONS[0])
        upgrade(connection, target)
        if target >= FIRST_COMPATIBLE:
            later = [name for name in REVISIONS if FIRST_COMPATIBLE <= name <= target]
            declare_compatible(connection, target, later)


def _compatible(engine: Engine, revision: str) -> list[str]:
    """The revisions whose releases can use a database of this one, by the release that made it."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("meta"):
            return []
        query = text("SELECT value FROM meta WHERE name = :name")
        value = connection.execute(query, {"name": COMPATIBLE}).scalar()

    declared = json.loads(value or "{}")
    return declared.get("revisions", []) if declared.get("revision") == revision else []


def declare_compatible(connection: Connection, revision: str, revisions: Sequence[str]) -> None:
    """Let releases of `revisions` use the database, which is at `revision`, as it is."""
    connection.execute(text("DELETE FROM meta WHERE name = :name"), {"name": COMPATIBLE})
    value = json.dumps({"revision": revision, "revisions": list(revisions)})
    connection.execute(
        text("INSERT INTO meta (name, value) VALUES (:name, :value)"), {"name": COMPATIBLE, "value": value}
    )


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
