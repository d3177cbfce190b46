"""API keys, without their text."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.caller import Scope


class KeyInfo(Model):
    """An API key without its text. `models`: names and patterns of the models that it may call;
    `scopes`: its permissions; `toolsets`: the toolsets visible to it, over MCP only. None means
    all. `member`: the id of the member that it belongs to, whose role limits it.
    """

    id: str
    prefix: str
    owner: str
    kind: Literal["admin", "user"]
    one_time: bool
    created_at: datetime
    expires_at: datetime | None = None
    used_at: datetime | None = None
    revoked: bool = False
    models: list[str] | None = None
    scopes: list[Scope] | None = None
    toolsets: list[str] | None = None
    member: str | None = None
