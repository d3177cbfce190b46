"""Errors of connected accounts and of actions in other apps. See the tree in `codewords_mcp.errors`."""

from __future__ import annotations

from codewords_mcp.errors import NotConnected, UpstreamFailed
from codewords_mcp.errors.remedies import Remedy


class AppNotConnected(NotConnected):
    """An app without a usable account. `state` is missing, unhealthy or not_configured.

    A person connects the account at `connect_link_url`.
    """

    wire_fields = ("app", "state")
    optional_wire_fields = ("connect_link_url",)

    def __init__(
        self,
        message: str,
        *,
        app: str,
        state: str,
        connect_link_url: str | None = None,
        hint: str = "",
        remedy: Remedy | None = None,
    ) -> None:
        super().__init__(message, hint=hint, remedy=remedy)
        self.app = app
        self.state = state
        self.connect_link_url = connect_link_url


class IntegrationFailed(UpstreamFailed):
    """An action of a connected app that reported a failure."""

    code = "integration_failed"
