"""The chat hosts that this server can be written into: where each keeps its servers, and in what shape.

Sources, read in November 2026: modelcontextprotocol.io (Claude Desktop), cursor.com/docs, code.visualstudio.com/docs,
docs.windsurf.com, zed.dev/docs/ai/mcp, docs.continue.dev, developers.openai.com/codex, code.claude.com/docs,
geminicli.com/docs/tools/mcp-server, lmstudio.ai/docs/app/mcp, goose's documentation/docs/guides/config-files.md,
docs.cline.bot/mcp, ampcode.com/manual (its cli-settings.schema.json), opencode.ai/docs/mcp-servers and
junie.jetbrains.com/docs/junie-cli-mcp-configuration.html. LM Studio's documentation opens its file from a menu and
doesn't name the folder, which is `~/.lmstudio` on every system.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

NAME: Final = "codewords"
"""The server's name in a host's list."""
_GOOSE_TIMEOUT_S: Final = 300


@dataclass(frozen=True, slots=True)
class HostFolders:
    """The configuration folders of this person's machine."""

    home: Path
    system: str
    variables: dict[str, str]

    @classmethod
    def here(cls) -> HostFolders:
        """This machine, this person."""
        return cls(Path.home(), sys.platform, dict(os.environ))

    def application(self, name: str) -> Path:
        """The folder in which a desktop program keeps its settings."""
        if self.system == "darwin":
            return self.home / "Library" / "Application Support" / name
        if self.system == "win32":
            return self.named("APPDATA", self.home / "AppData" / "Roaming") / name
        return self.config() / name

    def config(self) -> Path:
        """The folder of programs that follow the XDG specification on every system but Windows."""
        return self.named("XDG_CONFIG_HOME", self.home / ".config")

    def named(self, variable: str, otherwise: Path) -> Path:
        """The path in an environment variable, or another where it is not set."""
        text = self.variables.get(variable)
        # The flavour of `home`: tests look at Windows' paths on Linux.
        return type(self.home)(text) if text else otherwise


@dataclass(frozen=True, slots=True)
class Host:
    """A chat host. `path` leads to the entry inside the file; `after` is what to do next.

    `sign`: how many folders above the file shows that the host is installed.
    """

    id: str
    title: str
    shape: Literal["json", "toml", "yaml"]
    path: tuple[str, ...]
    after: str
    locate: Callable[[HostFolders], Path]
    extra: tuple[tuple[str, Any], ...] = ()
    sign: int = 1

    def file(self, folders: HostFolders) -> Path:
        """Return the path of the host's configuration; the file may be absent."""
        return self.locate(folders)

    def entry(self, command: str, variables: dict[str, str]) -> dict[str, Any]:
        """Return the entry for this server in the host's file."""
        extra = dict(self.extra)
        if self.id == "opencode":
            entry = {**extra, "command": [command]}
            if variables:
                entry["environment"] = variables
            return entry
        if self.id == "goose":
            return {**extra, "cmd": command, "args": [], "envs": variables}

        entry: dict[str, Any] = {**extra, "command": command, "args": []}
        if variables:
            entry["env"] = variables
        return entry

    def is_here(self, folders: HostFolders) -> bool:
        """Whether the host seems to be installed: its file, or a folder above it that only it makes, is there."""
        file = self.file(folders)
        # The folder above shows an installation: the file's own may not exist yet.
        folder = file.parents[self.sign - 1]
        return file.is_file() or (folder != folders.home and folder.is_dir())


def _claude_desktop(folders: HostFolders) -> Path:
    return folders.application("Claude") / "claude_desktop_config.json"


def _claude_code(folders: HostFolders) -> Path:
    return folders.named("CLAUDE_CONFIG_DIR", folders.home) / ".claude.json"


def _cursor(folders: HostFolders) -> Path:
    return folders.home / ".cursor" / "mcp.json"


def _vscode(folders: HostFolders) -> Path:
    return folders.application("Code") / "User" / "mcp.json"


def _windsurf(folders: HostFolders) -> Path:
    return folders.home / ".codeium" / "windsurf" / "mcp_config.json"


def _zed(folders: HostFolders) -> Path:
    if folders.system == "win32":
        return folders.application("Zed") / "settings.json"
    return folders.config() / "zed" / "settings.json"


def _continue(folders: HostFolders) -> Path:
    return folders.home / ".continue" / "mcpServers" / f"{NAME}.json"


def _codex(folders: HostFolders) -> Path:
    return folders.named("CODEX_HOME", folders.home / ".codex") / "config.toml"


def _gemini(folders: HostFolders) -> Path:
    return folders.home / ".gemini" / "settings.json"


def _lm_studio(folders: HostFolders) -> Path:
    return folders.home / ".lmstudio" / "mcp.json"


def _goose(folders: HostFolders) -> Path:
    if folders.system == "win32":
        return folders.application("Block") / "goose" / "config" / "config.yaml"
    return folders.config() / "goose" / "config.yaml"


def _cline(folders: HostFolders) -> Path:
    extension = folders.application("Code") / "User" / "globalStorage" / "saoudrizwan.claude-dev"
    return extension / "settings" / "cline_mcp_settings.json"


def _cline_cli(folders: HostFolders) -> Path:
    usual = folders.home / ".cline" / "data" / "settings" / "cline_mcp_settings.json"
    return folders.named("CLINE_MCP_SETTINGS_PATH", usual)


def _amp(folders: HostFolders) -> Path:
    # `~/.config` on Windows too.
    return _with_comments(folders.home / ".config" / "amp" / "settings.json")


def _opencode(folders: HostFolders) -> Path:
    return _with_comments(folders.config() / "opencode" / "opencode.json")


def _jetbrains(folders: HostFolders) -> Path:
    return folders.home / ".junie" / "mcp" / "mcp.json"


def _with_comments(file: Path) -> Path:
    """The file, or the one ending in `.jsonc` beside it where only that is there."""
    other = file.with_name(f"{file.name}c")
    return other if os.path.isfile(other) and not os.path.isfile(file) else file  # noqa: PTH113 - a path may be of another system


_RESTART: Final = "Quit {title} wholly and start it again; then ask it to deploy the greeting template."
_SERVERS: Final = ("mcpServers", NAME)
_STDIO: Final = (("type", "stdio"),)
_LOCAL: Final = (("type", "local"), ("enabled", True))
_EXTENSION: Final = (
    ("type", "stdio"), ("name", NAME), ("description", "CodeWords workflows"), ("enabled", True), ("timeout", _GOOSE_TIMEOUT_S),
)  # fmt: skip
_JUNIE: Final = (
    "Settings, Tools, Junie, MCP Settings lists it. AI Assistant reads no file: paste what --print shows under Settings, "
    "Tools, AI Assistant, Model Context Protocol."
)
HOSTS: Final[dict[str, Host]] = {
    host.id: host
    for host in (
        Host("claude-desktop", "Claude Desktop", "json", _SERVERS, _RESTART, _claude_desktop),
        Host("claude-code", "Claude Code", "json", _SERVERS, "Start a new `claude`; /mcp lists it.", _claude_code, _STDIO),
        Host("cursor", "Cursor", "json", _SERVERS, "Settings, MCP lists it; switch it on there if it is off.", _cursor),
        Host("vscode", "VS Code", "json", ("servers", NAME), "Choose Agent in the chat; its tools have it.", _vscode, _STDIO, 2),
        Host("windsurf", "Windsurf", "json", _SERVERS, "Refresh the MCP servers in Cascade's settings.", _windsurf),
        Host("zed", "Zed", "json", ("context_servers", NAME), "The agent panel's settings list it.", _zed),
        Host("continue", "Continue", "json", _SERVERS, "Reload the window; its Agent mode has the tools.", _continue, sign=2),
        Host("codex", "Codex", "toml", ("mcp_servers", NAME), "Start a new `codex`; /mcp lists it.", _codex),
        Host("gemini", "Gemini CLI", "json", _SERVERS, "Start a new `gemini`; /mcp lists it.", _gemini),
        Host("lm-studio", "LM Studio", "json", _SERVERS, "The Program tab lists it; switch it on in a chat.", _lm_studio),
        Host("goose", "Goose", "yaml", ("extensions", NAME), "Start a new session; Extensions lists it.", _goose, _EXTENSION),
        Host("cline", "Cline", "json", _SERVERS, "Cline's MCP Servers panel lists it.", _cline, sign=2),
        Host("cline-cli", "Cline CLI", "json", _SERVERS, "Start a new `cline`; `cline mcp` lists it.", _cline_cli, sign=3),
        Host("amp", "Amp", "json", ("amp.mcpServers", NAME), "Start a new `amp`; its tool list has it.", _amp),
        Host("opencode", "opencode", "json", ("mcp", NAME), "Start a new `opencode`; its tools are there.", _opencode, _LOCAL),
        Host("jetbrains", "JetBrains Junie", "json", _SERVERS, _JUNIE, _jetbrains, sign=2),
    )
}  # fmt: skip
