"""Times as people and models write them: absolute, or as an age."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from codewords_mcp.errors import InvalidInput

_AGE = re.compile(r"(\d{1,6})\s*(s|min|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_moment(text: str, name: str, at: datetime) -> datetime:
    """Read `2026-12-24`, `2026-12-24T18:00Z`, or an age like `30m`, `24h` and `7d` before `at`.

    A time without its zone is in UTC. Raises InvalidInput, which calls the argument `name`.
    """
    stripped = text.strip()
    if (age := _AGE.fullmatch(stripped.lower())) is not None:
        with suppress(OverflowError):
            return at - timedelta(seconds=int(age[1]) * _SECONDS[age[2]])
    with suppress(ValueError):
        found = datetime.fromisoformat(stripped)
        if found.tzinfo is not None:
            return found
        return found.replace(tzinfo=UTC)
    raise InvalidInput(f"`{name}` must be a time like 2026-12-24T18:00:00Z, or an age like 30m, 24h or 7d.")
