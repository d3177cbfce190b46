"""Times as the store keeps them: integer microseconds since 1970 UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def to_datetime(micros: int) -> datetime:
    """Exact, where a float timestamp would round."""
    return _EPOCH + timedelta(microseconds=micros)


def optional_datetime(micros: int | None) -> datetime | None:
    """`to_datetime` for a column that may be NULL."""
    if micros is None:
        return None
    return to_datetime(micros)


def to_text(micros: int) -> str:
    """Fixed width with microseconds and zone: text order is time order (`2026-01-31T09:30:00.000250Z`)."""
    seconds, rest = divmod(micros, 1_000_000)
    return f"{_second_text(seconds)}.{rest:06d}Z"


def rising_texts(first: int, step: int, count: int) -> list[str]:
    """Return `count` times as by `to_text`, each `step` µs after the previous one."""
    texts: list[str] = []
    second, text = None, ""
    for micros in range(first, first + step * count, step):
        seconds, rest = divmod(micros, 1_000_000)
        # Formatted once a second: a flood has thousands of lines in one.
        if seconds != second:
            second, text = seconds, _second_text(seconds)
        texts.append(f"{text}.{rest:06d}Z")
    return texts


def to_micros(moment: datetime) -> int:
    """The inverse of `to_datetime`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_text(text: str) -> int:
    """The inverse of `to_text`."""
    return to_micros(datetime.fromisoformat(text))


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> str:
    return to_datetime(seconds * 1_000_000).strftime("%Y-%m-%dT%H:%M:%S")
