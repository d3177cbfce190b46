"""Egress: the runtime's side of each sandbox's network, and the policy for its destinations."""

from __future__ import annotations

from codewords_mcp.runtime.egress.events import EgressEvent
from codewords_mcp.runtime.egress.network import Egress
from codewords_mcp.runtime.egress.relay import Traffic
from codewords_mcp.runtime.egress.sandbox_network import SandboxNetwork
from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS, EgressPolicy

__all__ = ["HOST_ALIAS", "Egress", "EgressEvent", "EgressPolicy", "SandboxNetwork", "Traffic"]
