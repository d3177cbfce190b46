"""Data models of library services."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from codewords_mcp.errors.remedies import Remedy
from codewords_mcp.runtime.model.base import Model


class CredentialInfo(Model):
    """A secret that a service uses. `without`: the service's behaviour if it is not set, "" if the
    secret is required.

    `essential`: without it the service can't serve its purpose.
    """

    name: str
    how: str
    without: str = ""
    essential: bool = True
    present: bool


class OperationInfo(Model):
    """One operation of a service. `path` follows the service's id. `input` and `output` are JSON
    Schemas.

    An operation of effect "writes" may send, change or act on something; `reads_sometimes`: with
    some inputs it only reads.
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
    """Preview of a call. `writes`: it may send, change or act on something. `asks`: the call in
    lines for a person.
    """

    writes: bool
    asks: list[str] = Field(default_factory=list[str])


class ServiceInfo(Model):
    """A library service. `ready`: it has all required credentials and is not `unavailable`, which
    holds a reason. `fix` says what to do about it; it contains the words of the `remedy`.
    """

    name: str
    title: str
    summary: str
    ready: bool
    unavailable: str = ""
    fix: str = ""
    remedy: Remedy | None = None
    credentials: list[CredentialInfo] = Field(default_factory=list[CredentialInfo])
    operations: list[OperationInfo] = Field(default_factory=list[OperationInfo])

    @property
    def lacking(self) -> list[CredentialInfo]:
        """The essential credentials that are not set."""
        return [
            credential for credential in self.credentials if credential.essential and not credential.present
        ]
