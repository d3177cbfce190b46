"""Keys of an ASGI scope that the HTTP API sets for the MCP server.

Without the SDK, so that the HTTP API doesn't load it.
"""

from __future__ import annotations

from typing import Final

TOOLSET_KEY: Final = "codewords.toolset"
"""The toolset of `/mcp/{toolset}`."""
LISTENER_KEY: Final = "codewords.listener"
"""The request's listener."""
API_KEY: Final = "codewords.api"
"""The HTTP API without its guards, for requests that passed them."""
