"""What the facade tells of library services."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model


class CredentialInfo(Model):
    """A secret that a service uses; `without`: what it does when there is none, "" where it needs one.

    `essential`: without it the service does not do what it is for.
    """

    name: str
    how: str
    without: str = ""
    essential: bool = True
    present: bool


class OperationInfo(Model):
    """One thing that a service does; `path` follows its id. `input` and `output` are JSON Schemas.

    An operation of effect "writes" may send, change or act on something; `reads_sometimes`: with some inputs it only reads.
    """

    path: str
    aliases: list[str] = Field(default_factory=list[str])
    summary: str
    effect: Literal["reads", "writes"]
    reads_sometimes: bool = False
    input: dict[str, Any]
    output: dict[str, Any]
    example: dict[str, Any] | None = None


class CallPreview(Model):
    """What a call would do: `writes`, it may send, change or act on something; `asks`, the call itself, on lines for a person."""

    writes: bool
    asks: list[str] = Field(default_factory=list[str])


class ServiceInfo(Model):
    """A library service. `ready`: it has every credential that it needs, and is not `unavailable`, which says why."""

    name: str
    title: str
    summary: str
    ready: bool
    unavailable: str = ""
    credentials: list[CredentialInfo] = Field(default_factory=list[CredentialInfo])
    operations: list[OperationInfo] = Field(default_factory=list[OperationInfo])

    @property
    def lacking(self) -> list[CredentialInfo]:
        """The credentials that are not set, and without which it does not do what it is for."""
        return [one for one in self.credentials if one.essential and not one.present]
