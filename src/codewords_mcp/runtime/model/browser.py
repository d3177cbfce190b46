"""The state of a person's own Chrome."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from codewords_mcp.errors.remedies import Remedy


class OwnChrome(BaseModel):
    """`sentence` describes the state, `fix` says what to do, "" if nothing. `address`: the
    runtime's address in the extension, `extension`: its version, `acting`: the workflows that use
    the browser now.
    """

    paired: bool
    connected: bool
    sentence: str
    fix: str = ""
    remedy: Remedy | None = None
    browser: str | None = None
    extension: str | None = None
    address: str | None = None
    paired_at: datetime | None = None
    seen_at: datetime | None = None
    acting: list[str] = []
