"""Times in texts, relative to the clock of the run that wrote them.

A time that moves with the clock is noise; its distance from the clock is not: "until a week from now" and "until a month from
now" are written alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from codewords_mcp.runtime.recording.volatile import Token

TOLERANCE: Final = 120.0
"""Seconds by which runs may differ in when they come to a time. A change of less is not seen."""
_DAY: Final = 86400.0
_FORMATS: Final = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%Y%m%d-%H%M%S",
    "%Y%m%d_%H%M%S",
    "%Y%m%d%H%M%S",
    "%a, %d %b %Y %H:%M:%S GMT",
    "%d %B %Y",
    "%d %b %Y",
    "%d %B %Y at %H:%M:%S",
    "%d %B %Y %H:%M:%S",
    "%d %B %Y at %H:%M",
    "%B %d, %Y",
    "%b %d, %Y",
    "%m/%d/%Y",
)
_EPOCH_DIGITS: Final = 10


def moves_alike(
    token: Token, clock: float, samples: Sequence[tuple[Token, float]], *, longest: float = 0.0
) -> bool:
    """Whether a time is as far from the clock of its run as the samples are from theirs.

    True also for what cannot be read as a time, and where the samples do not keep one distance. `longest` is the length of the
    longest run in seconds.
    """
    if token in [sample for sample, _ in samples]:
        return True
    distances = [_distance(sample, at) for sample, at in samples]
    distance = _distance(token, clock)
    known = [one for one in distances if one is not None]
    if distance is None or len(known) < len(distances) or not known:
        return True

    tolerance = 0.0 if _is_day(token[1]) else TOLERANCE + longest
    if max(known) - min(known) > tolerance:
        return True
    return min(known) - tolerance <= distance <= max(known) + tolerance


def _distance(token: Token, clock: float) -> float | None:
    """Seconds from the clock to a time; whole days if it has no hour."""
    kind, text = token
    if kind == "epoch":
        whole, _, part = text.partition(".")
        return float(f"{whole[:_EPOCH_DIGITS]}.{whole[_EPOCH_DIGITS:]}{part}0") - clock
    if kind != "time":
        return None
    moment = _read(text)
    if moment is None:
        return None
    if _is_day(text):
        today = datetime.fromtimestamp(clock, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return round((moment - today) / timedelta(days=1)) * _DAY
    return moment.timestamp() - clock


def _read(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    for form in _FORMATS:
        if moment is not None:
            break
        try:
            moment = datetime.strptime(text, form)  # noqa: DTZ007  # the zone follows
        except ValueError:
            continue
    if moment is None:
        return None
    # The clock of a sandbox is UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_day(text: str) -> bool:
    return ":" not in text and sum(map(str.isdigit, text)) <= 8
