"""Passkeys of members."""

from __future__ import annotations

from datetime import datetime

from codewords_mcp.runtime.model.base import Model


class PasskeyInfo(Model):
    """A passkey. `member` is the name of its member, `site` the host name at which it signs in."""

    id: str
    member: str
    name: str
    site: str
    created_at: datetime
    used_at: datetime | None = None
