"""Bounds for durations and times that come from outside.

All durations and times from callers are parsed here. An infinite, undefined or too large value is
refused as invalid input, so that later calculations can't overflow.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo
from typing import Final

from codewords_mcp.errors import InvalidInput

MAX_SECONDS: Final = 100 * 366 * 86400.0
"""The longest duration: a hundred years."""
FIRST_YEAR, LAST_YEAR = 1970, 9800
"""Bounds of all times. `MAX_SECONDS` after the last one is still within the calendar, in any zone.
"""


def check_seconds(value: float, name: str, *, low: float = 0.0, high: float | None = MAX_SECONDS) -> float:
    """The duration. Raises InvalidInput if it is out of bounds, infinite or NaN. `high` is None if
    the caller truncates longer durations.
    """
    if not math.isfinite(value) or value < low or (high is not None and value > high):
        if high is not None:
            most = f" to {_shown(high)}"
        else:
            most = ""
        raise InvalidInput(f"`{name}` must be a number of seconds from {_shown(low)}{most}.")
    return value


def parse_seconds(text: str, name: str, *, low: float = 0.0, high: float | None = MAX_SECONDS) -> float:
    """Parse a duration. See `check_seconds`. Raises InvalidInput."""
    try:
        # `float` takes digits of other scripts, and reads texts of any length.
        if text.isascii() and len(text) <= 40:
            value = float(text)
        else:
            value = math.nan
    except ValueError:
        value = math.nan
    return check_seconds(value, name, low=low, high=high)


def parse_moment(text: str, *, zone: tzinfo | None = None) -> datetime:
    """Parse an ISO 8601 time, and convert it to UTC. `zone` applies to a text without a zone.
    Raises InvalidInput.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InvalidInput(
            "This is not a time.", hint='Write it as "2026-12-24T18:00", with or without a zone at its end.'
        ) from None

    if not FIRST_YEAR < moment.year < LAST_YEAR:
        raise InvalidInput(f"A time must be after {FIRST_YEAR} and before {LAST_YEAR}.")

    if moment.tzinfo is None:
        if zone is None:
            raise InvalidInput("This time has no zone.", hint='Write it as "2026-12-24T18:00+01:00".')
        moment = moment.replace(tzinfo=zone)

    return moment.astimezone(UTC)


def _shown(value: float) -> str:
    if value == int(value):
        return str(int(value))
    return repr(value)
