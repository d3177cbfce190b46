"""The chat hosts that this server can be written into: where each keeps its servers, and in what shape.

Sources, read in November 2026: modelcontextprotocol.io (Claude Desktop), cursor.com/docs, code.visualstudio.com/docs,
docs.windsurf.com, zed.dev/docs/ai/mcp, docs.continue.dev, developers.openai.com/codex, code.claude.com/docs.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

NAME: Final = "codewords"
"""The server's name in a host's list."""


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
            return Path(self.variables.get("APPDATA") or self.home / "AppData" / "Roaming") / name
        return Path(self.variables.get("XDG_CONFIG_HOME") or self.home / ".config") / name


@dataclass(frozen=True, slots=True)
class Host:
    """A chat host. `path` leads to the entry inside the file; `after` is what to do next."""

    id: str
    title: str
    shape: Literal["json", "toml"]
    path: tuple[str, ...]
    after: str
    extra: tuple[tuple[str, Any], ...] = ()

    def file(self, folders: HostFolders) -> Path:
        """Return the path of the host's configuration; the file may be absent."""
        home = folders.home
        match self.id:
            case "claude-desktop":
                return folders.application("Claude") / "claude_desktop_config.json"
            case "claude-code":
                return Path(folders.variables.get("CLAUDE_CONFIG_DIR") or home) / ".claude.json"
            case "cursor":
                return home / ".cursor" / "mcp.json"
            case "vscode":
                return folders.application("Code") / "User" / "mcp.json"
            case "windsurf":
                return home / ".codeium" / "windsurf" / "mcp_config.json"
            case "zed":
                if folders.system == "win32":
                    folder = folders.application("Zed")
                else:
                    folder = _config(folders) / "zed"

                return folder / "settings.json"
            case "continue":
                return home / ".continue" / "mcpServers" / f"{NAME}.json"
            case _:
                return Path(folders.variables.get("CODEX_HOME") or home / ".codex") / "config.toml"

    def entry(self, command: str, variables: dict[str, str]) -> dict[str, Any]:
        """Return the entry for this server in the host's file."""
        return {
            **dict(self.extra),
            "command": command,
            "args": [],
            **({"env": variables} if variables else {}),
        }

    def is_here(self, folders: HostFolders) -> bool:
        """Whether the host seems to be installed: its folder, or its file in the home, is there."""
        file = self.file(folders)
        # The folder above shows an installation: the file's own may not exist yet.
        if self.id == "continue":
            return file.parent.parent.is_dir()
        if self.id == "vscode":
            return file.parent.parent.is_dir()
        return file.is_file() or (file.parent != folders.home and file.parent.is_dir())


def _config(folders: HostFolders) -> Path:
    return Path(folders.variables.get("XDG_CONFIG_HOME") or folders.home / ".config")


_RESTART: Final = "Quit {title} wholly and start it again; then ask it to deploy the greeting template."
_SERVERS: Final = ("mcpServers", NAME)
_STDIO: Final = (("type", "stdio"),)
HOSTS: Final[dict[str, Host]] = {
    host.id: host
    for host in (
        Host("claude-desktop", "Claude Desktop", "json", _SERVERS, _RESTART),
        Host("claude-code", "Claude Code", "json", _SERVERS, "Start a new `claude`; /mcp lists it.", _STDIO),
        Host("cursor", "Cursor", "json", _SERVERS, "Settings, MCP lists it; switch it on there if it is off."),
        Host("vscode", "VS Code", "json", ("servers", NAME), "Choose Agent in the chat; its tool list has it.", _STDIO),
        Host("windsurf", "Windsurf", "json", _SERVERS, "Refresh the MCP servers in Cascade's settings."),
        Host("zed", "Zed", "json", ("context_servers", NAME), "The agent panel's settings list it."),
        Host("continue", "Continue", "json", _SERVERS, "Reload the window; Continue's Agent mode has its tools."),
        Host("codex", "Codex", "toml", ("mcp_servers", NAME), "Start a new `codex`; /mcp lists it."),
    )
}  # fmt: skip
