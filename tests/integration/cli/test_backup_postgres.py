"""A home on PostgreSQL in a file, and again in another database."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.integration.cli.keeper import KEEPER
from tests.integration.cli.terminal import FEW, Shell
from tests.support.postgres import Postgres
from tests.support.runtime import make_home, share_environments

pytestmark = [pytest.mark.slow, pytest.mark.requirement("cli:backup-postgres")]
SHARED = {
    "CODEWORDS_PORT": "0",
    "CODEWORDS_API_KEY": "cwk-homes-on-postgresql-share-their-admin-key",
    "CODEWORDS_MASTER_KEY": "a1" * 32,
}

ROWS = {
    "migrate": ["CREATE TABLE notes (id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text TEXT)"],
    "statements": [
        {"sql": "INSERT INTO notes (text) VALUES (?)", "parameters": [word]} for word in ("one", "two")
    ],
}


@pytest.fixture(scope="module")
def programs(postgres: Postgres) -> dict[str, str]:
    """The variable by which the client's programs are found."""
    return {"PATH": f"{postgres.programs}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def backed_up(
    postgres: Postgres, programs: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """A backup of a home with a run, a secret, an upload, and a workflow that keeps a database."""
    folder = tmp_path_factory.mktemp("backed up")
    address = _address_of_a_user(postgres)
    shell = Shell(make_home(folder / "home", FEW), SHARED | programs | {"CODEWORDS_DATABASE_URL": address})
    shell.serve()
    try:
        code = KEEPER.replace(
            "[tool.env-checker]", '[tool.codewords]\n# services = ["database"]\n# [tool.env-checker]'
        )
        (folder / "keeper.py").write_text(code, encoding="utf-8")
        made = shell("codewords", "deploy", str(folder / "keeper.py"), "--json", "--allow")
        assert made.code == 0, made.err
        keeper = str(made.json["service_id"])
        ran = shell("codewords", "run", keeper, "--input", json.dumps(ROWS), "--json").json
        assert ran["status"] == "succeeded", ran
        assert shell("codewords", "secrets", "set", "KEPT_TOKEN", stdin="s3cr3t-v4lue\n").code == 0
        file = folder / "home.backup"
        done = shell("codewords", "backup", str(file))
        assert done.code == 0, done.err
        assert "CODEWORDS_MASTER_KEY is not in it" in done.err
        yield {"file": file, "keeper": keeper, "run": ran["id"], "address": address}
    finally:
        shell("codewords", "stop")


def _address_of_a_user(postgres: Postgres) -> str:
    """A new database that belongs to a user as the guide asks for, who is no superuser."""
    url = postgres.url()
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEROLE".encode())
        connection.execute(f"ALTER DATABASE {name} OWNER TO {name}".encode())
    return url.replace("//codewords@", f"//{name}@")


def test_a_backup_restores_runs_secrets_and_workflows_own_databases_in_another_database_paused(
    backed_up: dict[str, Any], postgres: Postgres, programs: dict[str, str], tmp_path: Path
) -> None:
    address = _address_of_a_user(postgres)
    elsewhere = Shell(tmp_path / "elsewhere", SHARED | programs | {"CODEWORDS_DATABASE_URL": address})
    restored = elsewhere("codewords", "restore", str(backed_up["file"]))
    assert restored.code == 0, restored.err
    assert elsewhere("codewords", "restore", str(backed_up["file"])).code == 2, (
        "a home that is one is left alone"
    )

    share_environments(elsewhere.home, FEW)
    try:
        assert backed_up["run"] in [run["id"] for run in elsewhere("codewords", "runs", "--json").json]
        names = [one["name"] for one in elsewhere("codewords", "secrets", "list", "--json").json]
        assert "KEPT_TOKEN" in names
        shown = elsewhere("codewords", "database", backed_up["keeper"], "--json").json
        assert "tables" in shown, shown
        assert shown["tables"] == [{"name": "notes", "columns": ["id integer", "text text"], "rows": 2}]
        again = elsewhere("codewords", "run", backed_up["keeper"], "--input", json.dumps(ROWS), "--json")
        assert again.json["status"] == "succeeded", "it still writes to its tables"
        assert "paused" in elsewhere("codewords", "doctor").out
    finally:
        elsewhere("codewords", "stop")


def test_a_backup_of_one_kind_of_home_is_not_restored_into_the_other(
    backed_up: dict[str, Any], postgres: Postgres, programs: dict[str, str], empty: Shell, tmp_path: Path
) -> None:
    refused = empty("codewords", "restore", str(backed_up["file"]))
    assert (refused.code, "PostgreSQL" in refused.err) == (2, True)
    assert not (empty.home / "codewords.db").exists()

    sqlite = tmp_path / "sqlite.backup"
    with tarfile.open(sqlite, "w:gz") as archive:
        for name in ("codewords-backup", "codewords.db"):
            archive.addfile(tarfile.TarInfo(name))
    shared = Shell(tmp_path / "shared", SHARED | programs | {"CODEWORDS_DATABASE_URL": postgres.url()})
    refused = shared("codewords", "restore", str(sqlite))
    assert (refused.code, "SQLite" in refused.err) == (2, True)


def test_a_password_is_on_no_command_line_and_missing_programs_and_servers_are_named(
    backed_up: dict[str, Any], tmp_path: Path
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    noting = programs / "pg_dump"
    noting.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "$PGPASSWORD" > {tmp_path}/password\nexit 1\n',
        encoding="utf-8",
    )
    noting.chmod(0o755)
    address = str(backed_up["address"]).replace("@", ":pass-w0rd@")
    shell = Shell(
        tmp_path / "home",
        SHARED | {"CODEWORDS_DATABASE_URL": address, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
    )
    assert shell("codewords", "backup", str(tmp_path / "x")).code == 3
    assert "pass-w0rd" not in (tmp_path / "arguments").read_text(encoding="utf-8")
    assert (tmp_path / "password").read_text(encoding="utf-8") == "pass-w0rd\n"
    assert not (tmp_path / "x").exists()

    nowhere = Shell(
        tmp_path / "home", SHARED | {"CODEWORDS_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    )
    refused = nowhere("codewords", "backup", str(tmp_path / "x"))
    assert (refused.code, "database server" in refused.err) == (3, True)
