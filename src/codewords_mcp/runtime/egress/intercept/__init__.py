"""Interception: the connections on which a placeholder is replaced by a secret's value."""

from __future__ import annotations

from codewords_mcp.runtime.egress.intercept.credentials import Credentials, SandboxCredential
from codewords_mcp.runtime.egress.intercept.interception import Interception

__all__ = ["Credentials", "Interception", "SandboxCredential"]
