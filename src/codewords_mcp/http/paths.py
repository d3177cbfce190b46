"""Paths and keys that more than one layer of the door tells apart."""

from __future__ import annotations

MCP_PATHS = frozenset({"/mcp", "/mcp/", "/run/devx_mcp/mcp", "/run/devx_mcp/mcp/"})
"""The second is where the public clients' `SubAgent` connects."""
_PROVIDERS = ("openai", "anthropic", "gemini")
PROVIDER_PREFIXES = tuple(f"{prefix}/{name}/" for prefix in ("", "/run") for name in _PROVIDERS)


def is_mcp(path: str) -> bool:
    """Whether MCP is served here, of all toolsets or of one."""
    return path in MCP_PATHS or path.startswith("/mcp/")


def toolset_of(path: str) -> str | None:
    """The toolset of `/mcp/{toolset}`; None where all are meant."""
    if not path.startswith("/mcp/"):
        return None
    return path[len("/mcp/") :].rstrip("/") or None


def looks_like_token(key: str) -> bool:
    """Whether this is an access token (a JWT), and not a key of ours."""
    return key.startswith("eyJ") and key.count(".") == 2
