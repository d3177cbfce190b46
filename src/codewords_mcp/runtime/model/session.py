"""Pages that wait for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codewords_mcp.runtime.model.base import Model


class PageSession(Model):
    """A browser that is signed in. `key_id` is of the API key by which, None for the home's own.

    `current` is the one that asks.
    """

    id: str
    key_id: str | None
    began_at: datetime
    expires_at: datetime
    current: bool = False


class WaitingPage(Model):
    """A question, a value to type or an account to connect; `path` leads to its page."""

    kind: Literal["consent", "secret", "connect", "browser"]
    title: str
    path: str
    created_at: datetime
    expires_at: datetime
