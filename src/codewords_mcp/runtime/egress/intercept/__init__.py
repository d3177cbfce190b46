"""Interception: the connections on which a placeholder becomes a secret's value, and nothing else does."""

from __future__ import annotations

from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority
from codewords_mcp.runtime.egress.intercept.credentials import Credentials, SandboxCredential
from codewords_mcp.runtime.egress.intercept.interception import Interception

__all__ = ["CertificateAuthority", "Credentials", "Interception", "SandboxCredential"]
