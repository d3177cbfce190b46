"""Quiet hours: no messages from one time of the day until another, in a person's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from codewords_mcp.runtime.model.alert import AlertSettings
from codewords_mcp.runtime.store.clock import to_datetime, to_micros
from codewords_mcp.runtime.triggers.cron import parse_zone


def end_of_quiet(settings: AlertSettings, at: int) -> int:
    """Return the time in µs from which a message may be sent: `at`, or the end of the quiet hours that it falls in."""
    if not settings.quiet_from or not settings.quiet_until:
        return at
    begins, ends = time.fromisoformat(settings.quiet_from), time.fromisoformat(settings.quiet_until)
    local = to_datetime(at).astimezone(parse_zone(settings.timezone))
    now = local.time().replace(tzinfo=None)
    if begins <= ends:
        quiet = begins <= now < ends
    else:
        quiet = now >= begins or now < ends
    if not quiet:
        return at

    end = datetime.combine(local.date(), ends, tzinfo=local.tzinfo)
    # By the clock on the wall: the day may have 23 or 25 hours.
    if end <= local:
        end = datetime.combine(local.date() + timedelta(days=1), ends, tzinfo=local.tzinfo)
    return max(at, to_micros(end.astimezone(UTC)))
