"""Marks that stand in the audit trail for texts of callers that name nothing."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Sequence
from typing import Final

SUBJECT_KINDS: Final = (
    "workflow_id", "service_id", "draft_id", "run_id", "schedule_id", "trigger_id", "webhook_id", "delivery_id", "key_id",
    "alert_id", "replay_id", "session_id", "member_id", "passkey_id", "name", "app", "account", "scope", "tool",
    "template_id",
)  # fmt: skip
"""Parameters of routes and arguments of tools that an entry names. Others can be secret: tokens, addresses of webhooks."""
_MARK_CHARS: Final = 16
"""Hex digits of a mark. 64 bits tell texts apart, and are too few to confirm a guess without doubt."""


class SubjectMarks:
    """Makes marks with a key of the home, so that nobody without it finds a text by trying likely ones.

    `keys` gives the present key and earlier ones, the present one first. `apps` are names of apps that everybody knows.
    """

    def __init__(self, keys: Callable[[], Sequence[bytes]], apps: Collection[str] = ()) -> None:
        self._keys = keys
        self._apps = apps

    def mark(self, kind: str, text: str) -> str:
        """The mark of a text: its kind and a keyed hash. A well-known app's name is its own mark."""
        if kind == "app" and text in self._apps:
            return text
        return _mark(self._keys()[0], kind, text)

    def marks_of(self, text: str) -> tuple[str, ...]:
        """Every mark that may stand for a text, of any kind and by any key of the home."""
        return tuple(_mark(key, kind, text) for key in self._keys() for kind in SUBJECT_KINDS)


def _mark(key: bytes, kind: str, text: str) -> str:
    digest = hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()
    return f"{kind}#{digest[:_MARK_CHARS]}"
