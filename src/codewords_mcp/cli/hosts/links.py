"""Links by which a chat host adds a server itself: of a program on this machine, and of the published package.

Sources, read in November 2026: cursor.com/docs/context/mcp/install-links, code.visualstudio.com/api/extension-guides/ai/mcp
(its URL handler), lmstudio.ai/docs/app/mcp/deeplink, and goose's documentation/docs/mcp pages. Goose's links start only
programs of a list of its own (`uvx` is one), so there is none for a program of this machine.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final
from urllib.parse import quote, urlencode

from codewords_mcp.cli.hosts.hosts import NAME

WITH_LINKS: Final = ("cursor", "vscode", "lm-studio")
"""Ids of the hosts whose links take any program."""
_PACKAGE: Final[dict[str, Any]] = {"command": "uvx", "args": ["codewords-mcp"]}
_TITLE: Final = "CodeWords workflows"
_DESCRIPTION: Final = "Generate, deploy, run and schedule sandboxed Python workflows"


def app_link(client: str, command: str, variables: dict[str, str]) -> str:
    """The link that opens a host of `WITH_LINKS` with this server filled in."""
    config: dict[str, Any] = {"command": command, "args": []}
    if variables:
        config["env"] = variables
    match client:
        case "cursor":
            return f"cursor://anysphere.cursor-deeplink/mcp/install?{_query(config)}"
        case "vscode":
            return f"vscode:mcp/install?{quote(json.dumps({'name': NAME, **config}), safe='')}"
        case _:
            return f"lmstudio://add_mcp?{_query(config)}"


def badges() -> dict[str, str]:
    """Markdown of a badge for each host with links, which add `uvx codewords-mcp`. They work once that package is published."""
    config = quote(json.dumps(_PACKAGE, separators=(",", ":")), safe="")
    goose = urlencode(
        {"cmd": "uvx", "arg": "codewords-mcp", "id": NAME, "name": _TITLE, "description": _DESCRIPTION},
        quote_via=quote,
    )
    targets = {
        "cursor": (
            "Install in Cursor", "https://cursor.com/deeplink/mcp-install-dark.svg",
            f"https://cursor.com/en/install-mcp?{_query(_PACKAGE)}",
        ),
        "vscode": (
            "Install in VS Code", "https://img.shields.io/badge/VS_Code-Install-0098FF",
            f"https://vscode.dev/redirect/mcp/install?name={NAME}&config={config}",
        ),
        "lm-studio": (
            "Add to LM Studio", "https://files.lmstudio.ai/deeplink/mcp-install-light.svg",
            f"https://lmstudio.ai/install-mcp?{_query(_PACKAGE)}",
        ),
        "goose": (
            "Install in Goose", "https://block.github.io/goose/img/extension-install-dark.svg",
            f"https://block.github.io/goose/extension?{goose}",
        ),
    }  # fmt: skip
    return {client: f"[![{text}]({image})]({url})" for client, (text, image, url) in targets.items()}


def _query(config: dict[str, Any]) -> str:
    encoded = base64.b64encode(json.dumps(config, separators=(",", ":")).encode()).decode()
    return urlencode({"name": NAME, "config": encoded})
