"""A person's own Chrome, as they are told of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel


class OwnChrome(BaseModel):
    """`sentence` says how it stands, `fix` what to do, "" where nothing is. `address` is where the extension looks for its
    runtime, `extension` its version, `acting` what acts in it now.
    """

    paired: bool
    connected: bool
    sentence: str
    fix: str = ""
    browser: str | None = None
    extension: str | None = None
    address: str | None = None
    paired_at: datetime | None = None
    seen_at: datetime | None = None
    acting: list[str] = []
