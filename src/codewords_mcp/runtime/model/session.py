"""Pages that wait for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from codewords_mcp.runtime.model.base import Model


class WaitingPage(Model):
    """A question, a value to type or an account to connect; `path` leads to its page."""

    kind: Literal["consent", "secret", "connect", "browser"]
    title: str
    path: str
    created_at: datetime
    expires_at: datetime
