"""A change that an open page is told of."""

from __future__ import annotations

from typing import Literal

from codewords_mcp.runtime.model.base import Model

LiveKind = Literal[
    "run", "runs", "workflows", "drafts", "schedules", "secrets", "webhooks", "inbox", "sessions"
]
"""One run, or a list that is to be read again."""


class LiveChange(Model):
    """A change. That of a `run` has its id, its workflow and its status; that of a list has nothing more."""

    kind: LiveKind
    id: str | None = None
    service_id: str | None = None
    status: str | None = None
