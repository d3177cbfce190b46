"""A workflow moves between homes and databases by a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.integration.cli.terminal import FEW, Shell
from tests.support.postgres import Postgres
from tests.support.runtime import make_home

from codewords_mcp.stdio import home as homes

pytestmark = [pytest.mark.slow, pytest.mark.requirement("projects:export")]
SECRET = "the-value-of-a-secret-0123456789"  # of the tests
PROGRAM = """\
# /// script
# requires-python = ">=3.11,<3.14"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2"]
# [tool.env-checker]
# env_vars = ["PORT=8000", "LIMIT=1", "OF_THE_EXPORT"]
# ///
import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()


@app.post("/")
async def main() -> dict[str, str]:
    return {"greeting": "Hello", "limit": os.environ["LIMIT"]}


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


@pytest.fixture
def elsewhere(tmp_path: Path, postgres: Postgres) -> Iterator[Shell]:
    """Another home, whose database is PostgreSQL."""
    settings = {"CODEWORDS_PORT": "0", "CODEWORDS_DATABASE_URL": postgres.migrated_url()}
    shell = Shell(make_home(tmp_path / "elsewhere", FEW), settings)
    shell.serve()
    yield shell
    shell("codewords", "stop")


def test_a_workflow_moves_to_another_home_and_database(
    shell: Shell, elsewhere: Shell, tmp_path: Path
) -> None:
    source, file = tmp_path / "exported.py", tmp_path / "exported.json"
    assert shell("codewords", "secrets", "set", "OF_THE_EXPORT", stdin=SECRET).code == 0
    for text in (PROGRAM, PROGRAM.replace("Hello", "Ahoy"), PROGRAM.replace("Hello", "Good day")):
        source.write_text(text, encoding="utf-8")
        assert shell("codewords", "deploy", str(source), "--allow").code == 0
    assert shell("codewords", "rollback", "exported", "2").code == 0
    assert shell("codewords", "config", "exported", "LIMIT=20").code == 0
    assert shell("codewords", "schedules", "create", "exported", "0 9 * * *", "--name", "mornings").code == 0
    assert shell("codewords", "triggers", "add", "exported", "plain").code == 0
    assert shell("codewords", "publish", "exported", "--name", "exported_tool").code == 0

    assert shell("codewords", "export", "exported", str(file)).code == 0
    archive = json.loads(file.read_text(encoding="utf-8"))
    assert [one["version"] for one in archive["versions"]] == [1, 2, 3]
    assert (archive["live"], archive["secrets"]) == (2, ["LIMIT", "OF_THE_EXPORT"])
    assert SECRET not in file.read_text(encoding="utf-8")

    done = elsewhere("codewords", "import", str(file), "--allow")
    assert done.code == 0, done.err
    assert "The secret OF_THE_EXPORT has no value here" in done.err
    assert elsewhere("codewords", "secrets", "set", "OF_THE_EXPORT", stdin=SECRET).code == 0
    assert elsewhere("codewords", "run", "exported").json == {"greeting": "Ahoy", "limit": "20"}
    shown = elsewhere("codewords", "show", "exported", "--json").json
    versions = {one["version"]: one["active"] for one in shown["versions"]}
    assert versions == {1: False, 2: True, 3: False}
    triggers = elsewhere("codewords", "triggers", "list", "--json").json
    assert sorted(one["kind"] for one in triggers) == ["plain", "schedule"]
    assert [one["tool"] for one in elsewhere("codewords", "published", "--json").json] == ["exported_tool"]

    # The same import again adds nothing; another workflow of the name is not touched.
    assert elsewhere("codewords", "import", str(file), "--allow").code == 0
    assert len(elsewhere("codewords", "triggers", "list", "--json").json) == 2
    assert len(elsewhere("codewords", "show", "exported", "--json").json["versions"]) == 3
    other = archive | {"versions": [{"version": 2, "code": PROGRAM.replace("Hello", "Other")}]}
    file.write_text(json.dumps(other), encoding="utf-8")
    refused = elsewhere("codewords", "import", str(file), "--allow")
    assert (refused.code, "Another workflow" in refused.err) == (2, True)


def test_recordings_tests_and_marks_move_between_databases_both_ways(
    shell: Shell, elsewhere: Shell, tmp_path: Path
) -> None:
    source, file, back = tmp_path / "marked.py", tmp_path / "marked.json", tmp_path / "back.json"
    program = PROGRAM.replace(', "OF_THE_EXPORT"', "")
    for text in (program, program.replace("Hello", "Ahoy")):
        source.write_text(text, encoding="utf-8")
        assert shell("codewords", "deploy", str(source), "--allow").code == 0
    detail = shell("codewords", "show", "marked", "--json").json
    _send(
        shell,
        "POST",
        "/deploy",
        {"code": program, "service_id": detail["service_id"], "public": True, "allow": True},
    )
    _send(shell, "PUT", f"/workflows/{detail['service_id']}/template", {"category": "greetings"})
    for _ in range(2):
        assert shell("codewords", "run", "marked").code == 0
    recorded = shell("codewords", "recordings", "list", "marked", "--json").json
    _send(shell, "PUT", f"/recordings/{recorded[0]['run_id']}/test", {"expect": ["status"]})

    assert shell("codewords", "export", "marked", str(file)).code == 0
    assert json.loads(file.read_text(encoding="utf-8"))["recordings"] == []
    assert shell("codewords", "export", "marked", str(file), "--recordings", "1").code == 0
    assert len(json.loads(file.read_text(encoding="utf-8"))["recordings"]) == 1
    assert shell("codewords", "export", "marked", str(file), "--recordings", "10").code == 0

    for home, archive, name in ((elsewhere, file, "marked"), (shell, back, "marked again")):
        for _ in range(2):
            # The second import finds everything there.
            done = home("codewords", "import", str(archive), "--allow", "--name", name)
            assert (done.code, "It is public" in done.err) == (0, True), done.err
        shown = home("codewords", "show", name, "--json").json
        assert (shown["public"], shown["template"]) == (True, "greetings")
        found = home("codewords", "recordings", "list", name, "--json").json
        assert [(one["expect"], one["imported"], one["version"]) for one in found] == [
            (one["expect"], True, 3) for one in _with_test(recorded)
        ]
        if home is elsewhere:
            assert home("codewords", "export", name, str(back), "--recordings", "10").code == 0


def _with_test(recorded: list[Any]) -> list[Any]:
    return [recorded[0] | {"expect": ["status"]}, *recorded[1:]]


def _send(shell: Shell, method: str, path: str, body: Any) -> None:
    """Send a request that no command makes, as the home's own key may."""
    info = homes.find(str(shell.home))
    assert info is not None
    key = shell("codewords", "keys", "create", "--owner", "local", "--json").json["key"]
    headers = {"Authorization": f"Bearer {key}"}
    httpx2.request(
        method, info.url + path, json=body, headers=headers, timeout=60, trust_env=False
    ).raise_for_status()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"format": "codewords-workflow/2", "name": "x"}', "\x00"])
def test_a_file_that_is_no_export_is_refused(shell: Shell, tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text, encoding="utf-8")
    refused = shell("codewords", "import", str(file))
    assert refused.code == 2
    assert "no exported workflow" in refused.err
