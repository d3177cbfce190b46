"""Rights by access tokens of an authorization server: what is open by one ends with it."""

from __future__ import annotations

from typing import Protocol

from codewords_mcp.runtime.model.caller import Caller


class TokenRight(Protocol):
    """An access token that was accepted. Two are equal if they are the same token."""

    @property
    def ends_at(self) -> float:
        """Unix time in seconds at which the token's time is over."""
        ...

    async def present(self) -> Caller | None:
        """The caller with the rights that the token has now; None where it ended. Doesn't wait for the authorization server."""
        ...
