"""Pages that wait for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class PageSession(Model):
    """A browser that is signed in. `key_id` is of the API key by which, None for the home's own.

    `browser` is its kind and system ("Chrome on Linux"), `used_at` its last use to two minutes. `workflows` are those
    whose own pages it has open. `current` is the one that asks. `member` names the member who is
    signed in.
    """

    id: str
    key_id: str | None
    browser: str
    began_at: datetime
    used_at: datetime
    expires_at: datetime
    workflows: list[str] = Field(default_factory=list[str])
    current: bool = False
    member: str | None = None


class WaitingPage(Model):
    """A question, a value to type or an account to connect; `path` leads to its page."""

    kind: Literal["consent", "secret", "connect", "browser", "approval"]
    title: str
    path: str
    created_at: datetime
    expires_at: datetime
