"""Secrets: names, the vault and its master key, host rules, the scrubber."""

from __future__ import annotations

from codewords_mcp.runtime.secrets.master_key import MasterKey, load_master_key
from codewords_mcp.runtime.secrets.names import check_name, check_value
from codewords_mcp.runtime.secrets.scrub import Scrubber
from codewords_mcp.runtime.secrets.vault import SealedValue, Vault

__all__ = [
    "MasterKey",
    "Scrubber",
    "SealedValue",
    "Vault",
    "check_name",
    "check_value",
    "load_master_key",
]
