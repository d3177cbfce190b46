"""The status of a run in words for people and models."""

from __future__ import annotations

from typing import Final

_WAITS_FOR: Final = {
    "key": "limit of its key", "caller": "limit of its caller", "workflow": "limit of the workflow",
    "home": "limit of the home", "turn": "its turn", "time": "its time", "retry": "another attempt",
    "memory": "memory", "files": "open files", "answer": "a person's answer", "wait": "the time that its program waits for",
}  # fmt: skip


def status_words(status: str, waits_for: object) -> str:
    """Return the status, with what a run waits for: `queued (a person's answer)`."""
    words = status.replace("_", " ")
    reason = _WAITS_FOR.get(str(waits_for))
    return f"{words} ({reason})" if reason else words
