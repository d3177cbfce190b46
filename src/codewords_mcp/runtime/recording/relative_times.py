"""Times in texts, relative to the clock of the run that wrote them.

A time that moves with the clock is noise; its distance from the clock is not: "until a week from now" and "until a month from
now" are written alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from codewords_mcp.runtime.recording.volatile import Token

TOLERANCE: Final = 120.0
"""Seconds by which runs may differ in when they come to a time. A change of less is not seen."""
_DAY: Final = 86400.0
_EPOCH_DIGITS: Final = 10
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_CLOCK: Final = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?)?"
_SHORT_CLOCK: Final = (
    r"(?:[T_-]?(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d)(?:\.?(?P<fraction>\d{3,6}))?)?(?P<zone>Z)?)?"
)
_ZONE: Final = r"\s?(?P<zone>Z|GMT|UTC|[+-]\d\d:?\d\d)?"
_AT: Final = rf"(?:(?:T|,?\s|,?\sat\s){_CLOCK}{_ZONE})?"
_WEEKDAY: Final = r"(?:[A-Za-z]{3,9}\.?,?\s)?"
_MONTH: Final = r"(?P<word>[A-Za-z]{3,9})\.?"
_FORMS: Final = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d){_AT}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[\s-]{_MONTH}[\s-](?P<year>\d{{4}}){_AT}",
        rf"{_WEEKDAY}{_MONTH}\s(?P<day>\d{{1,2}}),?\s(?P<year>\d{{4}}){_AT}",
        rf"(?P<first>\d{{1,2}})(?P<between>[./])(?P<other>\d{{1,2}})[./](?P<year>\d{{4}}){_AT}",
        rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d){_SHORT_CLOCK}",
        rf"{_CLOCK}{_ZONE}",
    )
)
"""The forms of times that `volatile.template` finds, each with the names of its parts."""


def moves_alike(
    token: Token, clock: float, samples: Sequence[tuple[Token, float]], *, longest: float = 0.0
) -> bool:
    """Whether a time is as far from the clock of its run as the samples are from theirs.

    True also for what cannot be read as a time, and where the samples do not keep one distance. `longest` is the length of the
    longest run in seconds.
    """
    if token in [sample for sample, _ in samples]:
        return True
    tolerance = 0.0 if _is_day(token[1]) else TOLERANCE + longest
    # 3/4/2026 is in March or in April: the reading in which the samples keep one distance counts.
    for month_first in (False, True):
        distances = [_distance(sample, at, month_first=month_first) for sample, at in samples]
        known = [one for one in distances if one is not None]
        if len(known) < len(distances) or not known or max(known) - min(known) > tolerance:
            continue
        distance = _distance(token, clock, month_first=month_first)
        return distance is None or min(known) - tolerance <= distance <= max(known) + tolerance
    return True


def _distance(token: Token, clock: float, *, month_first: bool) -> float | None:
    """Seconds from the clock to a time; whole days if it has no hour, at most half a day if it has no day."""
    kind, text = token
    if kind == "epoch":
        whole, _, part = text.partition(".")
        return float(f"{whole[:_EPOCH_DIGITS]}.{whole[_EPOCH_DIGITS:]}{part}0") - clock
    if kind != "time":
        return None
    now = datetime.fromtimestamp(clock, UTC)
    moment = read_time(text, now, month_first=month_first)
    if moment is None:
        return None
    if _is_day(text):
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return round((moment - today) / timedelta(days=1)) * _DAY
    seconds = (moment - now).total_seconds()
    if _is_clock(text):
        # A time without a day may be of yesterday or tomorrow: the nearest is meant.
        return (seconds + _DAY / 2) % _DAY - _DAY / 2
    return seconds


def read_time(text: str, now: datetime, *, month_first: bool = False) -> datetime | None:
    """The moment that a text names in one of the forms, of the day of `now` where it names none; None if there is no such."""
    for form in _FORMS:
        if found := form.fullmatch(text):
            try:
                return _moment(found.groupdict(), now, month_first=month_first)
            except ValueError:
                return None
    return None


def _moment(parts: dict[str, str | None], now: datetime, *, month_first: bool) -> datetime:
    """Raises ValueError for parts that name no moment."""
    year, month, day = now.year, now.month, now.day
    if parts.get("year"):
        year = int(parts["year"] or 0)
        month, day = _month_and_day(parts, month_first=month_first)
    fraction = (parts.get("fraction") or "0").ljust(6, "0")[:6]
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    return datetime(
        year, month, day, hour, minute, second, int(fraction), tzinfo=_zone(parts.get("zone") or "")
    )


def _month_and_day(parts: dict[str, str | None], *, month_first: bool) -> tuple[int, int]:
    if word := parts.get("word"):
        return _MONTHS.index(word[:3].lower()) + 1, int(parts["day"] or 0)
    if parts.get("month"):
        return int(parts["month"] or 0), int(parts["day"] or 0)
    first, other = int(parts["first"] or 0), int(parts["other"] or 0)
    # With points the day is always first.
    if month_first and parts["between"] == "/":
        return (first, other)
    return (other, first)


def _zone(text: str) -> timezone:
    # Programs write local times without a zone, and the clock of a sandbox is UTC.
    if text in {"", "Z", "GMT", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-ahead if text[0] == "-" else ahead)


def _is_day(text: str) -> bool:
    return ":" not in text and sum(map(str.isdigit, text)) <= 8


def _is_clock(text: str) -> bool:
    return text[2:3] == ":"
