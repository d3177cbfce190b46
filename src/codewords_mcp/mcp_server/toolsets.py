"""Toolsets: groups of tools to which an address, a header or the settings restrict a client."""

from __future__ import annotations

from codewords_mcp.errors import InvalidInput
from codewords_mcp.settings import Settings

TOOLSETS = {
    "workflows": "Templates; check, deploy, look at and roll back workflows.",
    "runs": "Run workflows and look at their runs.",
    "schedules": "Let workflows run by themselves.",
    "secrets": "Names of secrets, and the page where they are typed.",
    "integrations": "Apps, and what can be done in them.",
    "other": "Whatever names no other.",
}
"""Toolsets of the built-in tools. A published workflow's toolset is named by its owner."""


def parse_toolsets(text: str) -> frozenset[str]:
    """Parse names separated by commas. Raises InvalidInput for a malformed name."""
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    # A misspelt restriction must not become none.
    if not names or not all(is_toolset_name(name) for name in names):
        raise InvalidInput(
            "Toolsets are names of lower-case letters, digits, - and _, separated by commas.",
            hint=f"Ours are {', '.join(TOOLSETS)}; published workflows have their own.",
        )
    return names


def is_toolset_name(name: str) -> bool:
    """Whether this can name a toolset."""
    return (
        0 < len(name) <= 32
        # The name is a part of an address, `/mcp/NAME`.
        and name.replace("-", "").replace("_", "").isalnum()
        # The card of the server has that address.
        and name != "server-card"
        and name == name.lower()
        and name.isascii()
    )


def check_settings(settings: Settings) -> None:
    """Raise InvalidInput for a malformed toolset in the settings: a restriction must not be misread."""
    if settings.toolsets is not None:
        parse_toolsets(",".join(settings.toolsets))
