"""Secrets: names, the vault and its master key, the scrubber, API keys.

One-time links are imported from `secrets.links`: they need the database, which a machine of the agent's has not.
"""

from __future__ import annotations

from codewords_mcp.runtime.secrets.keys import (
    display_prefix,
    hash_key,
    new_key,
    new_run_key,
)
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
    "display_prefix",
    "hash_key",
    "load_master_key",
    "new_key",
    "new_run_key",
]
