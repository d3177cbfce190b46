"""Secrets, without their values."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class SecretInfo(Model):
    """A secret without its value; no operation returns one."""

    name: str
    created_at: datetime
    updated_at: datetime
    used_by: list[str] = Field(default_factory=list[str])
    held: Literal["placeholder", "plain"] = "plain"
    """`placeholder`: workflows get a placeholder that the egress proxy replaces on the way to
    `hosts`. `plain`: they get the value.
    """
    hosts: list[str] = Field(default_factory=list[str])
    places: list[str] = Field(default_factory=list[str])
    source: str | None = None
    """The reference to the value where that is kept elsewhere, such as `vault://kv/app#token`."""
    expires_at: datetime | None = None
    """The time at which its issuer ends it, as its person said; an alert tells it before."""


class KeyRotation(Model):
    """Result of a change of the master key: the number of secrets, the new key's id, and the path
    of the old key.
    """

    secrets: int
    key_id: str
    old_key: str


class SecretForm(Model):
    """Contents of the page for typing a secret. Without `hosts` the value is a plain variable."""

    name: str
    users: list[str]
    hosts: list[str]
    places: list[str]
