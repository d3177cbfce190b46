"""Paths and keys that more than one layer of the HTTP API tells apart."""

from __future__ import annotations

MCP_PATHS = frozenset({"/mcp", "/mcp/", "/run/devx_mcp/mcp", "/run/devx_mcp/mcp/"})
"""The second is where the public clients' `SubAgent` connects."""
SANDBOX_MCP_PATHS = frozenset({"/run/devx_mcp/mcp", "/run/devx_mcp/mcp/"})
"""The paths of a running workflow's `SubAgent`; the only MCP that sandboxes reach."""
SSE_PATHS = {"/sse": "/sse", "/messages": "/messages/", "/messages/": "/messages/"}
"""The transport of before 2025-03-26, for hosts that know no other."""
SERVER_CARD_PATH = "/mcp/server-card"
"""The address that MCP reserves for a server's card, below its endpoint."""
_PROVIDERS = ("openai", "anthropic", "gemini")
PROVIDER_PREFIXES = tuple(f"{prefix}/{name}/" for prefix in ("", "/run") for name in _PROVIDERS)
NAMED_PREFIX = "/providers/"
"""Beginning of the paths of named model providers."""


CHROME_PATH = "/browser/connect"
"""The path where people's own Chromes connect. The extension's link.js has the same."""
CHROME_ORIGIN = "chrome-extension://opplmjmflhldhomfocimjblknndohalp"
"""The extension, as its browser names it: the first half of the SHA-256 of the `key` in its manifest, in letters a to p."""


def is_chrome(path: str) -> bool:
    """Whether a person's own Chrome connects here."""
    return path == CHROME_PATH


def is_mcp(path: str) -> bool:
    """Whether MCP is served here, of all toolsets or of one."""
    if path == SERVER_CARD_PATH:
        return False
    return path in MCP_PATHS or path in SSE_PATHS or path.startswith("/mcp/")


def toolset_of(path: str) -> str | None:
    """The toolset of `/mcp/{toolset}`; None where all are meant."""
    if not path.startswith("/mcp/"):
        return None
    return path[len("/mcp/") :].rstrip("/") or None


def looks_like_token(key: str) -> bool:
    """Whether this is an access token (a JWT), and not a key of ours."""
    # A JWT's header is JSON in base64, and `{"` encodes to `eyJ`.
    return key.startswith("eyJ") and key.count(".") == 2
