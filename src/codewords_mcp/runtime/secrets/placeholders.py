"""Placeholders: a workflow's substitutes for secret values, valid only at its own sandbox's egress."""

from __future__ import annotations

import re
import secrets
from typing import Final

_MARK: Final = "cwph"
_DIGITS: Final = 48
PATTERN: Final = re.compile(rb"cwph[0-9a-f]{48}")
"""Any placeholder, of whichever sandbox."""
LENGTH: Final = len(_MARK) + _DIGITS
# Public prefixes of vendors' keys, which some SDKs require. They reveal only the kind of a key.
_KINDS: Final = (
    "sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk-ant-", "sk-or-", "sk-proj-", "sk-", "xoxb-", "xoxp-", "xapp-",
    "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "SG.", "hf_", "r8_", "gsk_", "pat", "re_", "secret_", "ntn_", "xai-",
)  # fmt: skip


def new_placeholder(value: str) -> str:
    """Make a placeholder for a secret of one sandbox: the key kind's public prefix and 192 random
    bits.

    It contains no character that URLs, headers, JSON or shells would escape.
    """
    # Some SDKs check the prefix before they send a request.
    kind = next((kind for kind in _KINDS if value.startswith(kind)), "")
    return f"{kind}{_MARK}{secrets.token_hex(_DIGITS // 2)}"
