"""An owner's agreement to another owner's workflow, as routes and commands show it."""

from __future__ import annotations

from datetime import datetime

from codewords_mcp.runtime.model.base import Model


class Agreement(Model):
    """`capabilities` are lines of what the workflow may do for the owner. `published_by` is the workflow's owner."""

    service_id: str
    name: str
    published_by: str
    capabilities: list[str]
    agreed_at: datetime
