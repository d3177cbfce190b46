"""Durations as programs write them: seconds, or a number with a unit."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from codewords_mcp.errors import InvalidInput

LONGEST: Final = 366 * 86400.0
"""Seconds that a run may wait: a leap year."""
_TEXT: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(s|m|h|d|w)")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _check(value: float | str) -> float | str:
    if isinstance(value, str) and not _TEXT.fullmatch(value):
        raise ValueError('is no duration; write seconds, or "30m", "4h", "3d"')
    return value


Duration = Annotated[float | str, Field(), AfterValidator(_check)]
"""Seconds, or text such as `4h`."""


def seconds_of(duration: float | str) -> float:
    """The duration in seconds. Raises InvalidInput for one that is not above zero, or longer than a year."""
    if isinstance(duration, str):
        found = _TEXT.fullmatch(duration)
        if found is None:
            raise InvalidInput("This is no duration.", hint='Write seconds, or "30m", "4h", "3d".')
        seconds = float(found[1]) * _UNITS[found[2]]
    else:
        seconds = float(duration)

    if not 0 < seconds <= LONGEST:
        raise InvalidInput("A wait has to be longer than nothing, and a year at the most.")
    return seconds
