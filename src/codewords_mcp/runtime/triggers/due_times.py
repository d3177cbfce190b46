"""Due and missed times of a schedule: pure decisions, without a clock or store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice, takewhile
from operator import lt

from codewords_mcp.runtime.triggers.cron import after, before, parse_zone

ON_TIME_S = 60.0
"""Seconds after its time within which a run counts as on time."""
MAX_CATCH_UP = 100
"""Maximum runs that `catch_up = "all"` starts for missed times: the latest ones."""
MAX_COUNTED = 1_000
"""Maximum missed times that are counted."""


@dataclass(frozen=True, slots=True)
class Due:
    """`fire` are the times to run for now, `missed` the number of missed times.

    `next_at` is None after the last time.
    """

    fire: list[datetime]
    missed: int
    next_at: datetime | None


def due(*, cron: str | None, timezone: str, next_at: datetime, now: datetime, catch_up: str) -> Due:
    """Decide on a schedule at `now`, after its time `next_at` has come.

    A time more than a minute ago was missed: the runtime did not run, or the machine slept. Then
    `skip` runs for none of the missed times, `once` for the latest, `all` for each of the latest
    100.
    """
    times, next_at_ = [next_at], None
    if cron is not None:
        parsed_zone = parse_zone(timezone)
        later_times = takewhile(partial(lt, next_at), before(cron, parsed_zone, now))
        # Bounded: a schedule of each minute may have missed a million times.
        times += sorted(islice(later_times, MAX_COUNTED))
        next_at_ = next(after(cron, parsed_zone, now), None)

    on_time = [tick for tick in times if (now - tick).total_seconds() <= ON_TIME_S]
    missed = times[: len(times) - len(on_time)]
    # A run that is on time makes up for those that were missed.
    caught_up = {"skip": 0, "once": 0 if on_time else 1, "all": MAX_CATCH_UP}[catch_up]

    return Due([*(missed[-caught_up:] if caught_up else []), *on_time], len(missed), next_at_)
