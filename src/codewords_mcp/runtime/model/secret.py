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
    """Whether workflows get a placeholder that is swapped for the value on its way to `hosts`, or the value itself."""
    hosts: list[str] = Field(default_factory=list[str])
    places: list[str] = Field(default_factory=list[str])


class KeyRotation(Model):
    """What a change of the master key did: how many secrets, the new key's id, and where the old key is."""

    secrets: int
    key_id: str
    old_key: str


class SecretForm(Model):
    """What the page for typing a secret shows. Without `hosts` the value is a plain variable."""

    name: str
    users: list[str]
    hosts: list[str]
    places: list[str]
