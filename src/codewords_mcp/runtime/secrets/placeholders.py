"""Placeholders: what a workflow holds instead of a secret's value. Worth nothing anywhere but at its own sandbox's egress."""

from __future__ import annotations

import re
import secrets
from typing import Final

_MARK: Final = "cwph"
_DIGITS: Final = 48
PATTERN: Final = re.compile(rb"cwph[0-9a-f]{48}")
"""Any placeholder, of whichever sandbox."""
LENGTH: Final = len(_MARK) + _DIGITS
_KINDS: Final = (
    "sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk-ant-", "sk-or-", "sk-proj-", "sk-", "xoxb-", "xoxp-", "xapp-",
    "ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "SG.", "hf_", "r8_", "gsk_", "pat", "re_", "secret_", "ntn_", "xai-",
)  # fmt: skip
"""Public beginnings of vendors' keys, which some SDKs insist on; they tell the kind of a key and nothing of it."""


def new_placeholder(value: str) -> str:
    """For one secret of one sandbox: 192 random bits, after the public beginning that the value's kind of key has.

    It holds no character that URLs, headers, JSON or shells would write in another way.
    """
    kind = next((kind for kind in _KINDS if value.startswith(kind)), "")
    return f"{kind}{_MARK}{secrets.token_hex(_DIGITS // 2)}"
