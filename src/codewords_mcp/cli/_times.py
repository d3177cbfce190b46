"""Times as people read them: in the zone of this machine, or of the schedule, and marked with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

_ISO = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")


def moment(text: str) -> datetime:
    """Return the time of a response in this machine's zone."""
    return datetime.fromisoformat(text).astimezone()


def to_second(text: str) -> str:
    """`2026-01-31 10:30:00 CET`."""
    return moment(text).strftime("%Y-%m-%d %H:%M:%S %Z")


def to_minute(text: str | None, zone: str | None = None) -> str:
    """Format a time as `2026-01-31 10:30 CET`, in `zone` (IANA) or the local one; empty for no time."""
    if not text:
        return ""
    at = datetime.fromisoformat(text).astimezone(ZoneInfo(zone) if zone else None)
    return at.strftime("%Y-%m-%d %H:%M %Z")


def of_log(text: str) -> str:
    """`10:30:00.123+01:00`, with the date where it is not today's."""
    at = moment(text)
    # strftime has no form with a colon in Python 3.11.
    offset = at.strftime("%z")
    clock = f"{at:%H:%M:%S}.{at.microsecond // 1000:03}{offset[:3]}:{offset[3:5]}"
    if at.date() == datetime.now().astimezone().date():
        return clock
    return f"{at:%Y-%m-%d} {clock}"


def localized(text: str) -> str:
    """A sentence of the runtime, with its UTC times in this machine's zone."""
    return _ISO.sub(_localize, text)


def _localize(found: re.Match[str]) -> str:
    return to_second(found[0])


def age(text: str) -> str:
    """Format a time as an age: `3 min`, `2 d`."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
