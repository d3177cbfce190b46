"""`codewords-mcp install` as a person and as a script use it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import Shell, Terminal

pytestmark = pytest.mark.requirement("install:command")


@pytest.fixture
def person(tmp_path: Path) -> Shell:
    """A person with Cursor and VS Code, who has a server in the first already."""
    cursor = tmp_path / ".cursor" / "mcp.json"
    cursor.parent.mkdir()
    cursor.write_text(
        '{\n  "mcpServers": {\n    "other": {"command": "x"} // mine\n  }\n}\n', encoding="utf-8"
    )
    (tmp_path / ".config" / "Code").mkdir(parents=True)
    return Shell(tmp_path / "codewords", {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""})


def cursor_of(person: Shell) -> Path:
    return Path(person.extra["HOME"]) / ".cursor" / "mcp.json"


def test_a_script_writes_every_host_that_is_here_and_takes_all_out_again(person: Shell) -> None:
    before = cursor_of(person).read_bytes()
    told: Any = person("codewords-mcp", "install", "--yes", "--json").json
    assert [(one["client"], one["status"]) for one in told["clients"]] == [
        ("cursor", "installed"),
        ("vscode", "installed"),
    ]
    entry = json.loads(Path(told["clients"][1]["file"]).read_text(encoding="utf-8"))["servers"]["codewords"]
    assert entry["env"] == {"CODEWORDS_HOME": str(person.home)}
    assert os.access(entry["command"], os.X_OK)
    version = subprocess.run(
        [entry["command"], "--version"], capture_output=True, encoding="utf-8", check=True
    )
    assert version.stdout.strip()
    again = person("codewords-mcp", "install", "--yes", "--json").json
    assert {one["status"] for one in again["clients"]} == {"unchanged"}
    gone = person("codewords-mcp", "install", "--undo", "--yes", "--json").json
    assert {one["status"] for one in gone["clients"]} == {"removed"}
    assert cursor_of(person).read_bytes() == before
    assert not Path(told["clients"][1]["file"]).exists()


def test_without_a_yes_and_nobody_to_ask_nothing_is_written(person: Shell) -> None:
    before = cursor_of(person).read_bytes()
    done = person("codewords-mcp", "install", "--client", "cursor")
    assert done.code == 2
    assert '+    "codewords": {' in done.out
    assert "--yes" in done.err
    assert cursor_of(person).read_bytes() == before


def test_a_person_sees_the_difference_and_is_asked(person: Shell) -> None:
    before = cursor_of(person).read_bytes()
    terminal = Terminal(person, "codewords-mcp", "install", "--client", "cursor")
    terminal.expect("[Y/n]")
    assert '"codewords": {' in terminal.plain
    terminal.type("n\n")
    assert terminal.end() == 0
    assert "nothing was written" in terminal.plain
    assert cursor_of(person).read_bytes() == before


def test_print_shows_what_belongs_where_and_writes_nothing(person: Shell) -> None:
    done = person("codewords-mcp", "install", "--print", "--client", "codex")
    assert "[mcp_servers.codewords]" in done.out
    assert ".codex/config.toml" in done.out
    assert not (Path(person.extra["HOME"]) / ".codex").exists()


def test_no_host_and_an_unknown_one_are_said(person: Shell, tmp_path: Path) -> None:
    alone = Shell(person.home, {"HOME": str(tmp_path / "elsewhere"), "XDG_CONFIG_HOME": ""})
    done = alone("codewords-mcp", "install")
    assert done.code == 2
    assert "--client" in done.err
    assert person("codewords-mcp", "install", "--client", "emacs").code == 2
