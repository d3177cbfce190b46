"""Write the fixtures of this folder: databases of homes that development versions made, with rows in every table.

    PYTHONPATH=<checkout of commit 28ffe3f>/src:<this checkout> python tests/unit/store/homes_before_release/make_homes.py

Later commits have the old migrations no more.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sqlite3
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from tests.support.postgres import Postgres, serving_postgres

from codewords_mcp.runtime.store.database_address import database_url
from codewords_mcp.runtime.store.migrations import migrate

FOLDER = Path(__file__).parent
REVISIONS = ("0001", "0026", "0043")
ROWS = 2
START = 1_750_000_000_000_000
MADE_BY = {"workflow": "greeting_0", "depth": 1, "services": ["greeting_0"], "key_id": None}
FIXED: dict[str, Any] = {
    "runs.status": "succeeded", "runs.attempts": [], "runs.steps": [], "runs.timings": {}, "runs.depth": 0,
    "runs.isolation": "S", "runs.waits_for": None, "runs.executor": None, "runs.not_before": None,
    "runs.in_queue": False, "runs.cancel_asked": False, "runs.summed": True, "runs.version": 1,
    "runs.error": None, "runs.usage": {}, "runs.input": {"method": "POST", "path": "/greet", "content": "{}"},
    "runs.response_file": {"file_id": "f", "filename": "a.pdf", "content_type": "application/pdf", "size": 5},
    "runs.made_by": MADE_BY,
    "schedules.made_by": MADE_BY,
    "webhooks.made_by": MADE_BY,
    "webhook_deliveries.made_by": MADE_BY,
    "versions.number": 1, "versions.checks": [], "workflows.active_version": 1, "workflows.template": None,
    "log_chunks.first_seq": 0, "log_chunks.lines": 1,
    "log_chunks.body": '["2025-06-15T15:06:40.000000Z","stdout","Grüße"]',
    "keys.kind": "api", "keys.revoked": False, "keys.models": ["openai/*"], "keys.scopes": ["run"],
    "keys.toolsets": None, "model_usage.day": "2025-06-15", "model_usage_days.day": "2025-06-15",
    "model_usage.summed": True, "schedules.catch_up": "one", "schedules.overlap": "skip",
    "schedules.timezone": "Europe/Berlin", "schedules.cron": "0 9 * * *", "schedules.method": "POST",
    "webhook_deliveries.status": "delivered", "webhook_deliveries.runs": [], "webhooks.filters": [],
    "outbox.recipients": ["ada@example.com"], "budgets.period": "month",
}  # fmt: skip
"""Values that the code would not understand if they were made up."""
OWNED = {"owner": "ada", "service_id": "greeting_0", "workflow_id": "greeting_0", "run_id": "run_0"}


def value(column: sa.Column[Any], number: int) -> Any:
    """Make up a value that says where it belongs."""
    name = f"{column.table.name}.{column.name}"
    if name in FIXED:
        return FIXED[name]
    if name == "workflows.id":
        return f"greeting_{number}"
    if name == "runs.id":
        return f"run_{number}"
    if column.foreign_keys:
        target = next(iter(column.foreign_keys)).column
        return value(target, number)
    if column.name in OWNED and not column.primary_key:
        return OWNED[column.name]

    kind = column.type
    if isinstance(kind, sa.JSON):
        return {"of": name, "number": number, "text": "Grüße, 世界"}
    if isinstance(kind, sa.Boolean):
        return bool(number % 2)
    if isinstance(kind, sa.BigInteger):
        return START + number * 1_000_000
    if isinstance(kind, sa.Integer):
        return number
    if isinstance(kind, sa.Float):
        return number + 0.25
    if isinstance(kind, sa.LargeBinary):
        return bytes([0, 255, number]) + name.encode()
    if isinstance(kind, sa.DateTime):
        return dt.datetime(2999, 1, 1, 12, number, tzinfo=dt.UTC)  # a start removes older ones
    length = getattr(kind, "length", None)
    return f"{number}-{name}"[:length]


def fill(engine: sa.Engine) -> None:
    """Insert rows into every table."""
    metadata = sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name != "alembic_version":
                for number in range(ROWS):
                    row = {column.name: value(column, number) for column in table.columns}
                    connection.execute(table.insert().values(row))


def make_sqlite(revision: str) -> str:
    """Dump an SQLite home at this revision."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codewords.db"
        engine = sa.create_engine(f"sqlite:///{path}", json_serializer=_dump)
        migrate(engine, revision)
        fill(engine)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            return "\n".join(connection.iterdump()) + "\n"


def make_postgres(server: Postgres, revision: str) -> str:
    """Dump a PostgreSQL home at this revision."""
    url = server.url()
    engine = sa.create_engine(database_url(url), json_serializer=_dump)
    migrate(engine, revision)
    fill(engine)
    engine.dispose()

    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", url]
    dump = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    lines = [line for line in dump.splitlines() if line and not line.startswith(("--", "\\"))]
    # What differs between versions of the server, and would be unknown to an older one.
    return (
        "\n".join(line for line in lines if not re.match(r"SET \w+_timeout|SET default_table", line)) + "\n"
    )


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    with serving_postgres() as server:
        for revision in REVISIONS:
            (FOLDER / f"sqlite-{revision}.sql").write_text(make_sqlite(revision), encoding="utf-8")
            (FOLDER / f"postgresql-{revision}.sql").write_text(
                make_postgres(server, revision), encoding="utf-8"
            )
