"""The runtime in a container: started once, found again, updated, stopped; what is missing is said in one sentence."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.terminal import Shell
from tests.support.stdio_client import Peer

from codewords_mcp import __version__

pytestmark = [pytest.mark.requirement("install:container"), pytest.mark.slow]

PROGRAM = Path(__file__).resolve().parents[2] / "support" / "engine_program.py"


class Engine:
    """The engine's folder: what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "image").touch()
        program = folder / "podman"
        program.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))} "$@"\n',
            encoding="utf-8",
        )
        program.chmod(0o755)
        self.program = program

    def commands(self, name: str) -> list[list[str]]:
        lines = (self.folder / "commands").read_text(encoding="utf-8").splitlines()
        return [words for line in lines if (words := json.loads(line))[0] == name]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "engine")


@pytest.fixture
def person(tmp_path: Path, engine: Engine) -> Generator[Shell]:
    """A person whose home keeps the choice of a container."""
    extra = {
        "HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "ENGINE_FOLDER": str(engine.folder),
        "CODEWORDS_CONTAINER_ENGINE": str(engine.program), "CODEWORDS_CONTAINER_ARGUMENTS": "--network=host",
        "CODEWORDS_DRAIN_TIMEOUT": "1",
    }  # fmt: skip
    shell = Shell(tmp_path / "codewords", extra)
    (tmp_path / ".cursor").mkdir()
    installed = shell("codewords-mcp", "install", "--runtime", "container", "--yes", "--json")
    assert installed.code == 0, installed.err
    yield shell
    (engine.folder / "broken").unlink(missing_ok=True)
    shell("codewords", "stop")


def name_of(engine: Engine) -> str:
    return engine.commands("run")[0][engine.commands("run")[0].index("--name") + 1]


def test_the_choice_is_kept_and_carried_and_one_container_serves_all_commands(
    person: Shell, engine: Engine
) -> None:
    entry = json.loads((Path(person.extra["HOME"]) / ".cursor/mcp.json").read_text(encoding="utf-8"))[
        "mcpServers"
    ]["codewords"]
    assert entry["env"]["CODEWORDS_RUNTIME"] == "container"

    first = person("codewords", "list", "--json")
    assert first.code == 0, first.err
    assert person("codewords", "runs", "--json").code == 0
    [started] = engine.commands("run")
    assert "CODEWORDS_API_KEY" in started
    key = (person.home / "api.key").read_text(encoding="utf-8").strip()
    assert key not in json.dumps(engine.commands("run")), "no list of processes shows the key"
    assert (person.home / "api.key").stat().st_mode & 0o777 == 0o600
    assert any(
        word.startswith("seccomp=") and Path(word.removeprefix("seccomp=")).is_file() for word in started
    )
    assert not (person.home / "codewords.db").exists(), "the home's data is in the volume"
    assert (engine.folder / "volumes" / name_of(engine) / "codewords.db").exists()

    looked = person("codewords", "doctor", "--json").json
    assert [check["detail"] for check in looked["checks"] if check["id"] == "container"] == [
        f"{name_of(engine)} of Podman runs, version {looked['version']}"
    ]


def test_a_chat_host_finds_the_container_that_a_command_started_and_starts_it_again(
    person: Shell, engine: Engine
) -> None:
    assert person("codewords", "list").code == 0
    with Peer(person.env) as peer:
        peer.initialize()
        assert peer.request("tools/list")["result"]["tools"]
        stopped = person("codewords", "stop", "--json").json
        assert stopped["stopped"]
        assert engine.commands("inspect")
        assert peer.request("tools/list")["result"]["tools"], "the next call starts it again"
    assert len(engine.commands("run")) == 2
    ports = {words[words.index("--port") + 1] for words in engine.commands("run")}
    assert len(ports) == 1, "addresses that were given out stay right"


def test_what_is_missing_is_said_in_one_sentence(person: Shell, engine: Engine) -> None:
    (engine.folder / "image").unlink()
    without_image = person("codewords", "list")
    assert without_image.code == 3
    assert "is not on this machine" in without_image.err
    assert "packaging/container/Containerfile" in without_image.err.replace("\n", " ")

    (engine.folder / "broken").touch()
    without_engine = person("codewords", "list")
    assert "Podman is installed and does not answer: start it" in " ".join(without_engine.err.split())
    looked = person("codewords", "doctor", "--json").json
    assert not looked["ok"]
    assert [check["status"] for check in looked["checks"] if check["id"] == "container"] == ["failed"]


def test_a_container_that_ends_at_once_tells_its_last_words(person: Shell, engine: Engine) -> None:
    (engine.folder / "crashes").touch()
    done = person("codewords", "list")
    assert done.code == 3
    assert "ended:" in done.err
    (engine.folder / "crashes").unlink()
    assert person("codewords", "list").code == 0, "what it left is no obstacle"


def test_a_backup_is_of_the_volume_and_fills_the_volume_of_another_home(
    person: Shell, engine: Engine, tmp_path: Path
) -> None:
    upload = tmp_path / "notes.txt"
    upload.write_text("kept", encoding="utf-8")
    assert person("codewords", "files", "upload", str(upload)).code == 0
    file = tmp_path / "home.backup"
    done = person("codewords", "backup", str(file))
    assert done.code == 0, done.err
    assert done.err.count("keep it like a password") == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(engine.commands("run")) == 2, "the runtime goes on in its own container"

    again = person("codewords", "restore", str(file))
    assert again.code == 2
    assert "has a database already" in again.err

    other = Shell(tmp_path / "other", person.extra | {"CODEWORDS_RUNTIME": "container"})
    restored = other("codewords", "restore", str(file), "--json")
    assert restored.code == 0, restored.err
    assert restored.json["paused"]
    try:
        names = [item["filename"] for item in other("codewords", "files", "list", "--json").json]
        assert names == ["notes.txt"]
    finally:
        other("codewords", "stop")


def test_a_backup_that_fails_in_the_container_says_why_and_leaves_no_file(
    person: Shell, engine: Engine, tmp_path: Path
) -> None:
    file = tmp_path / "home.backup"
    empty = person("codewords", "backup", str(file))
    assert empty.code == 2
    assert "In the container: there is no database in" in empty.err
    (engine.folder / "broken").touch()
    broken = person("codewords", "backup", str(file))
    assert broken.code == 3
    assert "Podman is installed and does not answer" in " ".join(broken.err.split())
    assert not file.exists()


def test_an_older_container_is_replaced_its_home_kept(person: Shell, engine: Engine, tmp_path: Path) -> None:
    upload = tmp_path / "notes.txt"
    upload.write_text("kept", encoding="utf-8")
    assert person("codewords", "files", "upload", str(upload)).code == 0
    make_older(person, engine)
    with Peer(person.env) as peer:
        peer.initialize()
        assert peer.request("tools/list")["result"]["tools"]
    assert len(engine.commands("run")) == 2
    assert engine.commands("stop"), "its runs had their time to end"
    record = json.loads((person.home / "container.json").read_text(encoding="utf-8"))
    assert record["version"] == person("codewords", "doctor", "--json").json["version"]
    names = [item["filename"] for item in person("codewords", "files", "list", "--json").json]
    assert names == ["notes.txt"]


def make_older(person: Shell, engine: Engine) -> None:
    """Let the container that runs be one of an earlier version."""
    for file in (person.home / "container.json", engine.folder / f"{name_of(engine)}.json"):
        text = file.read_text(encoding="utf-8")
        assert __version__ in text
        file.write_text(text.replace(f'"{__version__}"', '"0.0.1"'), encoding="utf-8")


def test_another_program_on_the_port_is_not_given_the_key(person: Shell, engine: Engine) -> None:
    assert person("codewords", "list").code == 0
    before = json.loads((person.home / "container.json").read_text(encoding="utf-8"))["port"]
    assert person("codewords", "stop").code == 0
    with socket.create_server(("127.0.0.1", before)) as stranger:
        stranger.settimeout(0.2)
        assert person("codewords", "doctor", "--json").code == 0
        heard = b""
        try:
            while True:
                heard += stranger.accept()[0].recv(4096)
        except TimeoutError:
            pass
        assert b"Bearer" not in heard
    after: Any = json.loads((person.home / "container.json").read_text(encoding="utf-8"))
    assert (after["missed_port"], after["port"] != before) == (before, True)


def test_a_runtime_elsewhere_is_chosen_with_a_key_that_only_the_home_keeps(tmp_path: Path) -> None:
    shell = Shell(
        tmp_path / "codewords",
        {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "", "CODEWORDS_API_KEY": "cwk-elsewhere"},
    )
    (tmp_path / ".cursor").mkdir()
    done = shell("codewords-mcp", "install", "--runtime", "https://flows.example.com/mcp", "--yes", "--json")
    assert done.code == 0, done.err
    entry = (tmp_path / ".cursor/mcp.json").read_text(encoding="utf-8")
    assert (
        json.loads(entry)["mcpServers"]["codewords"]["env"]["CODEWORDS_RUNTIME_URL"]
        == "https://flows.example.com"
    )
    assert "cwk-elsewhere" not in entry
    kept = shell.home / "runtime-choice.json"
    assert json.loads(kept.read_text(encoding="utf-8")) == {
        "runtime": "remote", "url": "https://flows.example.com", "key": "cwk-elsewhere",
    }  # fmt: skip
    assert kept.stat().st_mode & 0o777 == 0o600
    back = shell("codewords-mcp", "install", "--runtime", "local", "--yes", "--json")
    assert back.code == 0
    assert "RUNTIME" not in (tmp_path / ".cursor/mcp.json").read_text(encoding="utf-8")


def test_a_choice_that_is_none_or_a_missing_key_is_refused(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "codewords", {"HOME": str(tmp_path), "XDG_CONFIG_HOME": ""})
    for named, said in (("vm", "'vm' is no runtime"), ("https://flows.example.com", "A key of")):
        done = shell("codewords-mcp", "install", "--runtime", named, "--client", "cursor", "--yes")
        assert done.code == 2
        assert said in done.err
    assert not shell.home.exists() or not (shell.home / "runtime-choice.json").exists()
