"""Pages that wait for a person, as far as a connection's toolsets reach."""

from __future__ import annotations

from typing import Any, Final

from codewords_mcp.mcp_server.access import access_of
from codewords_mcp.mcp_server.context import ToolContext

_TOOLSETS: Final = {
    "consent": "workflows",
    "secret": "secrets",
    "connect": "integrations",
    "browser": "integrations",
    "approval": "runs",
}
"""The toolset of each kind of page."""


def may_see(ctx: ToolContext, kind: Any) -> bool:
    """Whether this connection may know of a page: its title names a secret or an app."""
    toolset = _TOOLSETS.get(kind)
    return all(toolset in names for names in access_of(ctx.request_context).narrowed_to())
