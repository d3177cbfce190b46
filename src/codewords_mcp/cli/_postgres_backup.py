"""Dumps and restores of a home's PostgreSQL, by its own `pg_dump` and `pg_restore`.

A dump is one snapshot while replicas serve. Workflows' own databases are schemas in it, each of a role of its own: a
restore makes the roles first, and fills each schema as its role.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from codewords_mcp.errors import Conflict, InvalidInput, StorageFailed

if TYPE_CHECKING:
    import psycopg

SCHEMA = re.compile(r"cwdb_[0-9a-f_]+")
"""The name of a workflow's own database, which is that of its role, too."""
_REASON_LIMIT = 300
_SCHEMAS: LiteralString = (
    r"SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'cwdb_') ORDER BY nspname"
)
_IS_HOME: LiteralString = (
    "SELECT to_regclass('meta') IS NOT NULL OR to_regclass('alembic_version') IS NOT NULL"
)


class PostgresHome:
    """The database at an address. Raises InvalidInput where the client's programs are not installed."""

    def __init__(self, address: str) -> None:
        # Not before it is needed: every command imports this module.
        from codewords_mcp.runtime.store.database_address import database_url

        self._url = database_url(address).set(drivername="postgresql")

    def dump(self, file: Path) -> None:
        """Write the database, as it is at one moment, in the custom format of `pg_dump`. Raises StorageFailed."""
        with self._connected() as connection:
            names = self._schemas(connection)
            for name in names:
                # Tables of a role are read by its members only, unless a superuser dumps them.
                connection.execute(f"GRANT {name} TO CURRENT_USER".encode())

        self._run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")

    def require_empty(self) -> None:
        """Raises Conflict where the database is a home's already."""
        with self._connected() as connection:
            found = connection.execute(_IS_HOME).fetchone()
        if found is not None and found[0]:
            raise Conflict(
                "The database that CODEWORDS_DATABASE_URL names holds a home already.",
                hint="Name an empty one, which `createdb` makes.",
            )

    def restore(self, file: Path) -> None:
        """Fill the empty database from a dump. Raises StorageFailed; the database is then to be made anew."""
        listed = self._run("pg_restore", "--list", str(file), connects=False)
        names = sorted(set(SCHEMA.findall(listed)))
        with self._connected() as connection:
            for name in names:
                self._provide_role(connection, name)

        # The schemas themselves are in none, so they are made here.
        self._restore(file, [f"--exclude-schema={name}" for name in names])
        for name in names:
            with self._connected() as connection:
                connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {name} TO {name}".encode())
            self._restore(file, [f"--schema={name}", f"--role={name}"])

    def _restore(self, file: Path, options: Sequence[str]) -> None:
        self._run(
            "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", *options,
            f"--dbname={self._address()}", str(file), connects=False,
        )  # fmt: skip

    @staticmethod
    def _provide_role(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
        """Make the role of a workflow's database. The runtime gives it its password at need."""
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
        if known is None:
            connection.execute(f"CREATE ROLE {name} NOLOGIN NOINHERIT".encode())
        connection.execute(f"GRANT {name} TO CURRENT_USER".encode())

    @staticmethod
    def _schemas(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
        """The names of workflows' databases; each fits into a statement as it is."""
        names = (str(row[0]) for row in connection.execute(_SCHEMAS))
        return [name for name in names if SCHEMA.fullmatch(name)]

    @contextmanager
    def _connected(self) -> Generator[psycopg.Connection[tuple[object, ...]]]:
        """A connection. Raises StorageFailed for what the server says."""
        import psycopg

        from codewords_mcp.runtime.store.engine import CONNECT_OPTIONS

        address = self._url.render_as_string(hide_password=False)
        try:
            with psycopg.connect(address, autocommit=True, **CONNECT_OPTIONS) as connection:
                yield connection
        except psycopg.Error as error:
            raise StorageFailed(
                f"The database server refused: {_reason(str(error).splitlines())}.",
                hint="See that CODEWORDS_DATABASE_URL is right, and that its user may make roles and schemas.",
            ) from error

    def _address(self) -> str:
        """The address without its password, which other users of this machine would see among the processes."""
        return self._url.set(password=None).render_as_string()

    def _run(self, program: str, *arguments: str, connects: bool = True) -> str:
        """Run one of the client's programs. Returns its stdout. Raises InvalidInput, StorageFailed."""
        found = shutil.which(program)
        if found is None:
            raise InvalidInput(
                f"{program} is not installed here.",
                hint="Install PostgreSQL's client of the server's version or newer (Debian: postgresql-client).",
            )

        # By the environment: arguments of a process can be read by every user of the machine.
        password = {"PGPASSWORD": str(self._url.password)} if self._url.password else {}
        target = [f"--dbname={self._address()}"] if connects else []
        done = subprocess.run(
            [found, *target, *arguments],
            env=os.environ | password | {"PGCONNECT_TIMEOUT": "10"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise StorageFailed(f"{program} failed: {_reason(done.stderr.splitlines())}.")
        return done.stdout


def _reason(lines: Iterable[str]) -> str:
    """The first line that says something, of what a server or its client wrote."""
    for line in lines:
        if line.strip():
            return line.strip()[:_REASON_LIMIT].rstrip(".")
    return "it gave no reason"
