"""Progress from the lines of uv: packages that are fetched take most of the time of a large environment."""

from __future__ import annotations

import re

from codewords_mcp.runtime.model.progress import Progress

INSTALLING = (0.3, 1.0, "Installing packages")
_FETCHED = 0.55
"""The share of a build that fetching comes near to."""
_RESOLVED = re.compile(r"Resolved \d+ packages? in")
_FETCHING = re.compile(r"Downloading ([A-Za-z0-9._-]{1,100}) \((\d[\d.]{0,10}) ?([KMG]i?B)\)")
_DONE = re.compile(r"Downloaded ([A-Za-z0-9._-]{1,100})")


class InstallProgress:
    """Turns the lines of one `uv pip install` into progress that grows. uv names packages of a megabyte and more."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._fetching: dict[str, str] = {}
        self._at = INSTALLING[0]

    async def on_line(self, line: str) -> None:
        """Take one line of uv's."""
        if _RESOLVED.match(line):
            await self._progress(*INSTALLING)
        elif match := _FETCHING.match(line):
            name, amount, unit = match.groups()
            self._fetching[name] = f"{name} ({amount} {unit})"
            await self._tell()
        elif (match := _DONE.match(line)) and self._fetching.pop(match[1], None):
            await self._tell()

    async def _tell(self) -> None:
        # uv tells no total. MCP wants each number above the last one.
        self._at += (_FETCHED - self._at) / 10
        message = f"Downloading {', '.join(self._fetching.values())}" if self._fetching else INSTALLING[2]
        await self._progress(self._at, 1, message)
