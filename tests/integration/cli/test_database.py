"""A workflow's own database from the terminal: shown, asked, exported, backed up, and deleted with the workflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.cli.keeper import KEEPER, ROWS
from tests.integration.cli.terminal import Shell

pytestmark = pytest.mark.slow


@pytest.mark.requirement("services:database-backup", "services:database-deleted")
def test_a_database_is_shown_exported_backed_up_and_deleted_with_its_workflow(
    shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "keeper.py"
    file.write_text(
        KEEPER.replace(
            "[tool.env-checker]", '[tool.codewords]\n# services = ["database"]\n# [tool.env-checker]'
        ),
        encoding="utf-8",
    )
    made = shell("codewords", "deploy", str(file), "--json", "--allow")
    assert made.code == 0, made.err
    name = str(made.json["service_id"])
    assert "keeps its own database" in shell("codewords", "show", name).out
    assert "no database" in shell("codewords", "database", name).err
    ran = shell("codewords", "run", name, "--input", json.dumps(ROWS), "--json")
    assert ran.json["status"] == "succeeded", ran.out

    shown = shell("codewords", "database", name, "--json").json
    assert shown["tables"] == [{"name": "notes", "columns": ["id INTEGER", "text TEXT"], "rows": 2}]
    assert "two" in shell("codewords", "database", name, "SELECT text FROM notes").out
    refused = shell("codewords", "database", name, "DELETE FROM notes WHERE id = 1")
    assert (refused.code, "--write" in refused.err) == (2, True)
    assert (
        shell("codewords", "database", name, "UPDATE notes SET text = 'zwei' WHERE id = 2", "--write").code
        == 0
    )

    exported = tmp_path / "notes.jsonl"
    assert shell("codewords", "database", name, "--export", str(exported)).code == 0
    lines = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    assert [line["row"]["text"] for line in lines] == ["one", "zwei"]
    assert shell("codewords", "database", name, "--export", str(exported)).code == 2

    backup = tmp_path / "home.backup"
    assert shell("codewords", "backup", str(backup)).code == 0
    elsewhere = Shell(tmp_path / "elsewhere", {"CODEWORDS_PORT": "0"})
    assert elsewhere("codewords", "restore", str(backup)).code == 0
    try:
        again = elsewhere("codewords", "database", name, "SELECT text FROM notes", "--json").json
        assert [row["text"] for row in again["rows"]] == ["one", "zwei"]
    finally:
        elsewhere("codewords", "stop")

    deleted = shell("codewords", "delete", name, "--yes")
    assert deleted.code == 0, deleted.err
    assert list((shell.home / "databases").glob("*.db")) == []
