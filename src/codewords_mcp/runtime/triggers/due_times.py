"""What is due of a schedule, and what was missed: pure decisions, without clock or store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice, takewhile

from codewords_mcp.runtime.triggers.cron import after, before, zone

LATE = 60.0
"""Seconds after its time within which a run is simply on time."""
MAX_CATCH_UP = 100
"""Runs that `catch_up = "all"` makes up for at the most, the latest ones."""
MAX_COUNTED = 1_000
"""Missed times that are counted at the most."""


@dataclass(frozen=True, slots=True)
class Due:
    """`fire`: times to run for now. `missed`: how many before or among them were missed. `next_at`: None when it is over."""

    fire: list[datetime]
    missed: int
    next_at: datetime | None


def due(*, cron: str | None, timezone: str, next_at: datetime, now: datetime, catch_up: str) -> Due:
    """What to do at `now` with a schedule whose next time was `next_at`, which has come.

    A time that is more than a minute ago was missed: the runtime did not run, or the machine slept. Then `skip` runs
    for none of them, `once` for the latest, `all` for each of the latest 100.
    """
    times, following = [next_at], None
    if cron is not None:
        where = zone(timezone)
        since = takewhile(lambda tick: tick > next_at, before(cron, where, now))
        times += sorted(islice(since, MAX_COUNTED))
        following = next(after(cron, where, now), None)

    on_time = [tick for tick in times if (now - tick).total_seconds() <= LATE]
    missed = times[: len(times) - len(on_time)]
    made_up = {"skip": 0, "once": 0 if on_time else 1, "all": MAX_CATCH_UP}[catch_up]

    return Due([*(missed[-made_up:] if made_up else []), *on_time], len(missed), following)
