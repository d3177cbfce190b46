"""API keys: made from 256 random bits, shown once, stored only as a hash."""

from __future__ import annotations

import hashlib
import secrets

_PLAIN, _ONE_TIME, _RUN = "cwk-", "cwotk-", "cwk-run-"
_SHOWN = 6


def new_key(*, one_time: bool = False) -> str:
    """A new API key: `cwk-` (reusable) or `cwotk-` (valid once) and 64 hexadecimal digits."""
    return (_ONE_TIME if one_time else _PLAIN) + secrets.token_hex(32)


def new_run_key() -> str:
    """Make a key for one run: `cwk-run-` and 64 hexadecimal digits. Kept in memory only."""
    return _RUN + secrets.token_hex(32)


def is_run_key(text: str) -> bool:
    """Whether a text has the form of a run's key."""
    return text.startswith(_RUN)


def hash_key(key: str) -> str:
    """SHA-256 in hex, for storing. A slow hash is for passwords; 256 random bits need none."""
    # Undecodable bytes of a command line or file are surrogates here: such a key must be wrong,
    # not an error.
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def display_prefix(key: str) -> str:
    """Return a key's kind and first 6 digits, for lists: 24 of its 256 bits."""
    kind = next((prefix for prefix in (_RUN, _ONE_TIME, _PLAIN) if key.startswith(prefix)), "")
    return key[: len(kind) + _SHOWN]
