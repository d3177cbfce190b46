"""Each host's file gets what that host reads, and is as it was after an undo."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, cast

import pytest
import yaml

from codewords_mcp.cli.hosts import jsonc
from codewords_mcp.cli.hosts.config_change import adding, removing
from codewords_mcp.cli.hosts.hosts import HOSTS, Host, HostFolders
from codewords_mcp.cli.install import HostId
from codewords_mcp.errors import InvalidInput

pytestmark = pytest.mark.requirement("install:hosts")

COMMAND = "/opt/codewords mcp/bin/codewords-mcp"
CLINE = "globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"


def place(home: Path, system: str = "linux", **variables: str) -> HostFolders:
    return HostFolders(home, system, variables)


def value(host: Host, text: str) -> Any:
    parse: Any = {"toml": tomllib.loads, "json": jsonc.loads, "yaml": yaml.safe_load}[host.shape]
    found: Any = parse(text)
    for name in host.path:
        found = found[name]
    return found


def command_of(entry: dict[str, Any]) -> tuple[str, list[str], dict[str, str]]:
    """The program, its arguments and variables, by the words of whichever host."""
    if isinstance(entry.get("command"), list):
        program, *arguments = entry["command"]
        return program, arguments, entry.get("environment", {})
    if "cmd" in entry:
        return entry["cmd"], entry["args"], entry["envs"]
    return entry["command"], entry["args"], entry.get("env", {})


def install(host: Host, file: Path, variables: dict[str, str] | None = None) -> None:
    change = adding(host, file, host.entry(COMMAND, variables or {}))
    change.keep_old()
    change.write()


def undo(host: Host, file: Path) -> None:
    change = removing(host, file)
    change.write()
    change.drop_backup()


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_host_without_a_file_gets_one_and_loses_it_again(host: Host, tmp_path: Path) -> None:
    file = host.file(place(tmp_path))
    install(host, file, {"CODEWORDS_HOME": "/srv/codewords"})
    entry = value(host, file.read_text(encoding="utf-8"))
    assert command_of(entry) == (COMMAND, [], {"CODEWORDS_HOME": "/srv/codewords"})
    assert adding(host, file, host.entry(COMMAND, {"CODEWORDS_HOME": "/srv/codewords"})).is_none
    undo(host, file)
    assert not file.exists()
    assert removing(host, file).is_none


MINE = {
    "json": '{\n  // mine\n  "mcpServers": {"x": {"command": "y"}},\n  "servers": {},\n  "font": 12,\n}\n',
    "toml": '# mine\nmodel = "gpt"\n\n[mcp_servers.other]\ncommand = "y" # keep\n\n[tools]\nsearch = true\n',
    "yaml": (
        "# mine\nmodel: gpt # 12\nextensions:\n    # built in\n    developer:\n        enabled: true # keep\n\n"
        "        args: [a,\n          b]\n\n# the next\nslash_commands:\n- command: x\n"
    ),
}


KEPT = {
    "json": ("// mine", '"x": {"command": "y"}', '"servers": {', '"font": 12'),
    "toml": ("# mine", 'model = "gpt"', 'command = "y" # keep', "search = true"),
    "yaml": (
        "# mine",
        "    developer:\n        enabled: true # keep",
        "\n# the next\nslash_commands:\n- command: x\n",
    ),
}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_a_persons_own_settings_stay_and_undo_brings_the_file_back_byte_for_byte(
    host: Host, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(MINE[host.shape], encoding="utf-8")
    file.chmod(0o640)
    install(host, file)
    after = file.read_text(encoding="utf-8")
    assert command_of(value(host, after))[0] == COMMAND
    for mine in KEPT[host.shape]:
        assert mine in after
    assert file.stat().st_mode & 0o777 == 0o640
    undo(host, file)
    assert file.read_text(encoding="utf-8") == MINE[host.shape]
    assert [path.name for path in tmp_path.iterdir()] == ["config"]


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_an_undo_keeps_what_was_changed_meanwhile(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(MINE[host.shape], encoding="utf-8")
    install(host, file)
    now = file.read_text(encoding="utf-8").replace("12", "14").replace('"gpt"', '"newer"')
    file.write_text(now, encoding="utf-8")
    undo(host, file)
    left = file.read_text(encoding="utf-8")
    assert "codewords" not in left
    assert "14" in left or '"newer"' in left


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.json", tmp_path / "mcp.json"
    real.write_text("{}", encoding="utf-8")
    link.symlink_to(real)
    install(HOSTS["cursor"], link)
    assert link.is_symlink()
    assert "codewords" in real.read_text(encoding="utf-8")


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text("{}", encoding="utf-8")
    change = adding(HOSTS["cursor"], file, {})
    file.write_text('{"new": 1}', encoding="utf-8")
    with pytest.raises(InvalidInput, match="changed meanwhile"):
        change.write()
    assert json.loads(file.read_text(encoding="utf-8")) == {"new": 1}


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("cursor", "{"), ("cursor", "[1, 2]"), ("cursor", '{"mcpServers": 1}'), ("cursor", "\x00"),
        ("codex", "{"), ("codex", "mcp_servers = 3\n"), ("codex", "[mcp_servers\n"),
        ("goose", "{a: 1}\n"), ("goose", "extensions: {a: {enabled: true}}\n"), ("goose", "extensions: &x\n  a: 1\n"),
        ("goose", "extensions:\n  - a\n"), ("goose", "just text\n"), ("goose", "a: 1\n---\nb: 2\n"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_understood_is_said_and_left(host: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match="could not be understood"):
        adding(HOSTS[host], file, {"command": "x"})
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("host", "system", "file"),
    [
        ("claude-desktop", "linux", ".config/Claude/claude_desktop_config.json"),
        ("claude-desktop", "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("claude-desktop", "win32", "AppData/Roaming/Claude/claude_desktop_config.json"),
        ("claude-code", "linux", ".claude.json"),
        ("cursor", "darwin", ".cursor/mcp.json"),
        ("vscode", "linux", ".config/Code/User/mcp.json"),
        ("vscode", "darwin", "Library/Application Support/Code/User/mcp.json"),
        ("windsurf", "linux", ".codeium/windsurf/mcp_config.json"),
        ("zed", "darwin", ".config/zed/settings.json"),
        ("zed", "win32", "AppData/Roaming/Zed/settings.json"),
        ("continue", "linux", ".continue/mcpServers/codewords.json"),
        ("codex", "linux", ".codex/config.toml"),
        ("gemini", "linux", ".gemini/settings.json"),
        ("lm-studio", "win32", ".lmstudio/mcp.json"),
        ("goose", "linux", ".config/goose/config.yaml"),
        ("goose", "darwin", ".config/goose/config.yaml"),
        ("goose", "win32", "AppData/Roaming/Block/goose/config/config.yaml"),
        ("cline", "linux", f".config/Code/User/{CLINE}"),
        ("cline", "darwin", f"Library/Application Support/Code/User/{CLINE}"),
        ("cline-cli", "linux", ".cline/data/settings/cline_mcp_settings.json"),
        ("amp", "win32", ".config/amp/settings.json"),
        ("opencode", "linux", ".config/opencode/opencode.json"),
        ("jetbrains", "darwin", ".junie/mcp/mcp.json"),
    ],
)
def test_each_host_is_written_where_it_looks(host: str, system: str, file: str, tmp_path: Path) -> None:
    assert HOSTS[host].file(place(tmp_path, system)) == tmp_path / file


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
def test_paths_of_windows_are_made_of_its_own_variables_and_slashes(host: Host) -> None:
    home = PureWindowsPath(r"C:\Users\Ada")
    roaming = r"D:\Roaming"
    folders = HostFolders(cast("Path", home), "win32", {"APPDATA": roaming})
    file: PurePath = host.file(folders)
    assert isinstance(file, PureWindowsPath)
    assert str(file).startswith((f"{home}\\", f"{roaming}\\"))
    assert "/" not in str(file)


def test_a_file_with_comments_in_its_name_is_taken_where_only_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.jsonc").write_text("{}", encoding="utf-8")
    assert HOSTS["opencode"].file(place(tmp_path)).name == "opencode.jsonc"
    (folder / "opencode.json").write_text("{}", encoding="utf-8")
    assert HOSTS["opencode"].file(place(tmp_path)).name == "opencode.json"


@pytest.mark.parametrize(
    "text",
    [
        "extensions: {}\n",
        "extensions: {} # none yet\n",
        "extensions:\n",
        "a: 1\nextensions:\n\nb: 2\n",
        "a: 1",
    ],
)
def test_an_empty_mapping_of_extensions_gets_a_member_and_is_as_it_was_again(
    text: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    install(HOSTS["goose"], file)
    after = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert after["extensions"]["codewords"]["cmd"] == COMMAND
    others = {name: kept for name, kept in yaml.safe_load(text).items() if name != "extensions"}
    assert {name: kept for name, kept in after.items() if name != "extensions"} == others
    undo(HOSTS["goose"], file)
    assert file.read_text(encoding="utf-8") == text


def test_every_host_is_a_choice_of_the_command() -> None:
    assert [client.value for client in HostId] == list(HOSTS)


def test_only_hosts_that_are_here_are_found(tmp_path: Path) -> None:
    assert not [host for host in HOSTS.values() if host.is_here(place(tmp_path))]
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".claude.json").write_text("{}", encoding="utf-8")
    assert [host.id for host in HOSTS.values() if host.is_here(place(tmp_path))] == ["claude-code", "cursor"]
