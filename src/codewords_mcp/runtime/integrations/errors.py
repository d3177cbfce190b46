"""What can be wrong with an account or an action of another app; the tree of `codewords_mcp.errors` has their place."""

from __future__ import annotations

from typing import Any

from codewords_mcp.errors import NotConnected, UpstreamFailed


class AppNotConnected(NotConnected):
    """An app without an account that can be used. `state`: missing, unhealthy or not_configured; a person opens the link."""

    def __init__(
        self, message: str, *, app: str, state: str, connect_link_url: str | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.app = app
        self.state = state
        self.connect_link_url = connect_link_url

    def details(self) -> dict[str, Any]:
        """What the wire carries beside code, message and hint."""
        if self.connect_link_url:
            link = {"connect_link_url": self.connect_link_url}
        else:
            link = {}
        return {"app": self.app, "state": self.state} | link


class IntegrationFailed(UpstreamFailed):
    """An action of an app that was asked for and said itself that it failed."""

    code = "integration_failed"
