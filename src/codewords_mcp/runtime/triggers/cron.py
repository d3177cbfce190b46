"""Times: five-field cron with time zones, `@daily` and its siblings, once-at; and every mistake with its place.

Daylight saving is as in Debian's cron: a job at a fixed time that the clock skips runs right after the gap, one in the
hour that comes twice runs once, and jobs every some minutes follow the real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.time_bounds import parse_moment

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day of month": "1-31 or L",
    "month": "1-12 or JAN-DEC",
    "day of week": "0-7 or SUN-SAT",
}
LONGEST = 200
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_EXAMPLE = 'Write five fields, minute to day of week, as in "0 9 * * MON-FRI", or one of ' + ", ".join(
    ALIASES
)


def zone(name: str) -> ZoneInfo:
    """The IANA time zone. Raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            "This time zone is not known.",
            hint='Use a name of the IANA database, as in "Europe/Berlin" or "UTC".',
        ) from None


def check(expression: str) -> str:
    """The expression, aliases resolved and blanks made single. Raises InvalidInput with a caret under what is wrong."""
    text = " ".join(expression.split())
    if not text.isascii() or not text.isprintable() or len(text) > LONGEST:
        raise InvalidInput("A cron expression is one line of ASCII characters.", hint=_EXAMPLE + ".")
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise InvalidInput(f"`{text}` is no alias of a cron expression.", hint=_EXAMPLE + ".")
        return ALIASES[text.lower()]

    parts = text.split(" ") if text else []
    if len(parts) != len(FIELDS):
        raise InvalidInput(
            f"A cron expression has 5 fields, and this one has {len(parts)}.", hint=_EXAMPLE + "."
        )

    for number, (name, values) in enumerate(FIELDS.items()):
        alone = ["*"] * len(FIELDS)
        alone[number] = parts[number]
        if not _reads(" ".join(alone)):
            raise _wrong(parts, number, f"is no {name} ({values}; lists, ranges and steps of them)")

    if not _reads(text) or next(after(text, UTC, _SOME_TIME), None) is None:
        raise _wrong(parts, 2, "is a day that these months do not have: it would never come")

    return text


def _reads(expression: str) -> bool:
    try:
        CronSim(expression, _SOME_TIME)
    except (CronSimError, ValueError, AssertionError):
        return False
    return True


def _wrong(parts: list[str], number: int, why: str) -> InvalidInput:
    column = sum(len(part) + 1 for part in parts[:number])
    shown = f"{' '.join(parts)}\n{' ' * column}{'^' * len(parts[number])}"
    return InvalidInput(f"`{parts[number]}` {why}:\n{shown}", hint=_EXAMPLE + ".")


def after(expression: str, where: tzinfo, moment: datetime) -> Iterator[datetime]:
    """The times after this moment, in UTC, in order, each once. Ends where none comes within decades."""
    last = moment
    for local in CronSim(expression, moment.astimezone(where)):
        tick = local.astimezone(UTC)
        if tick > last:  # an hour that comes twice gives its times once
            last = tick
            yield tick


def before(expression: str, where: tzinfo, moment: datetime) -> Iterator[datetime]:
    """The times up to and with this moment, in UTC, the latest first."""
    last: datetime | None = None
    for local in CronSim(expression, moment.astimezone(where) + timedelta(microseconds=1), reverse=True):
        tick = local.astimezone(UTC)
        if last is None or tick < last:
            last = tick
            yield tick


def next_times(expression: str, where: tzinfo, moment: datetime, count: int) -> list[datetime]:
    """At most so many of them."""
    return list(islice(after(expression, where, moment), count))


def once_at(text: str, where: tzinfo) -> datetime:
    """A time like `2026-12-24T18:00`, in its own zone or this one, as UTC. Raises InvalidInput."""
    return parse_moment(text, zone=where)
