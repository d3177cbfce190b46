"""Times of schedules: five-field cron with time zones and daylight saving, `@daily` and its siblings, and single times.

Errors point at the wrong field. Daylight saving is as in Debian's cron: a job at a fixed time that
the clock skips runs right after the gap. A job in the repeated hour runs once. Jobs every some
minutes follow the real time.
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
MAX_CHARS = 200
_REFERENCE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_EXAMPLE = 'Write five fields, minute to day of week, as in "0 9 * * MON-FRI", or one of ' + ", ".join(
    ALIASES
)


def parse_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone. Raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InvalidInput(
            "This time zone is unknown.",
            hint='Use a name of the IANA database, as in "Europe/Berlin" or "UTC".',
        ) from None


def check(expression: str) -> str:
    """Return the expression with aliases resolved and single blanks.

    Raises InvalidInput with a caret under the wrong field.
    """
    text = " ".join(expression.split())
    if not text.isascii() or not text.isprintable() or len(text) > MAX_CHARS:
        raise InvalidInput("A cron expression is one line of ASCII characters.", hint=_EXAMPLE + ".")
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise InvalidInput(f"`{text}` is not an alias of a cron expression.", hint=_EXAMPLE + ".")
        return ALIASES[text.lower()]

    expression_fields = text.split(" ") if text else []
    if len(expression_fields) != len(FIELDS):
        raise InvalidInput(
            f"A cron expression has 5 fields, and this one has {len(expression_fields)}.", hint=_EXAMPLE + "."
        )

    for number, (name, values) in enumerate(FIELDS.items()):
        fields = ["*"] * len(FIELDS)
        fields[number] = expression_fields[number]
        # The parser names no field, so each is tried alone.
        if not _is_valid(" ".join(fields)):
            raise _fault_at(
                expression_fields,
                number,
                f"is not a valid {name} ({values}; lists, ranges and steps of them)",
            )

    # A day such as February 30 has valid fields and no time.
    if not _is_valid(text) or next(after(text, UTC, _REFERENCE_TIME), None) is None:
        raise _fault_at(expression_fields, 2, "is a day that these months don't have, so no run would start")

    return text


def _is_valid(expression: str) -> bool:
    try:
        CronSim(expression, _REFERENCE_TIME)
    except (CronSimError, ValueError, AssertionError):
        return False
    return True


def _fault_at(expression_fields: list[str], number: int, reason: str) -> InvalidInput:
    column = sum(len(part) + 1 for part in expression_fields[:number])
    marked = f"{' '.join(expression_fields)}\n{' ' * column}{'^' * len(expression_fields[number])}"
    return InvalidInput(f"`{expression_fields[number]}` {reason}:\n{marked}", hint=_EXAMPLE + ".")


def after(expression: str, timezone: tzinfo, moment: datetime) -> Iterator[datetime]:
    """Yield the times after this moment, in UTC, in order. Ends if none comes within decades."""
    last = moment
    for local in CronSim(expression, moment.astimezone(timezone)):
        tick = local.astimezone(UTC)
        # The repeated hour at the end of daylight saving yields its times twice.
        if tick > last:
            last = tick
            yield tick


def before(expression: str, timezone: tzinfo, moment: datetime) -> Iterator[datetime]:
    """Yield the times up to and including this moment, in UTC, latest first."""
    last: datetime | None = None
    for local in CronSim(expression, moment.astimezone(timezone) + timedelta(microseconds=1), reverse=True):
        # One step ahead, since the time itself belongs to them.
        tick = local.astimezone(UTC)
        # The repeated hour yields its times twice here, too.
        if last is None or tick < last:
            last = tick
            yield tick


def next_times(expression: str, timezone: tzinfo, moment: datetime, count: int) -> list[datetime]:
    """Return at most `count` of the next times."""
    return list(islice(after(expression, timezone, moment), count))


def once_at(text: str, timezone: tzinfo) -> datetime:
    """Parse a time like `2026-12-24T18:00`, in its own zone or this one, to UTC. Raises
    InvalidInput.
    """
    return parse_moment(text, zone=timezone)
