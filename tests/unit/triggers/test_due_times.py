"""What is due, and what was missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from codewords_mcp.runtime.triggers.due_times import MAX_CATCH_UP, MAX_COUNTED, Due, due

pytestmark = pytest.mark.requirement("schedules:missed")
NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def hourly(now: datetime, catch_up: str) -> Due:
    return due(cron="0 * * * *", timezone="UTC", next_at=NINE, now=now, catch_up=catch_up)


@pytest.mark.parametrize("catch_up", ["skip", "once", "all"])
def test_a_time_that_has_just_come_fires_whatever_the_policy(catch_up: str) -> None:
    assert hourly(NINE + timedelta(seconds=5), catch_up) == Due([NINE], 0, NINE + HOUR)


def test_a_machine_that_slept_makes_up_for_none_the_latest_or_all() -> None:
    woken = NINE + 3 * HOUR + timedelta(minutes=20)
    assert hourly(woken, "skip") == Due([], 4, NINE + 4 * HOUR)
    assert hourly(woken, "once") == Due([NINE + 3 * HOUR], 4, NINE + 4 * HOUR)
    assert hourly(woken, "all") == Due([NINE + n * HOUR for n in range(4)], 4, NINE + 4 * HOUR)


def test_waking_at_a_time_runs_it_once_also_where_others_were_missed() -> None:
    woken = NINE + 2 * HOUR + timedelta(seconds=10)
    assert hourly(woken, "skip") == Due([NINE + 2 * HOUR], 2, NINE + 3 * HOUR)
    assert hourly(woken, "once") == Due([NINE + 2 * HOUR], 2, NINE + 3 * HOUR)
    assert len(hourly(woken, "all").fire) == 3


def test_catching_up_and_counting_are_bounded() -> None:
    woken = NINE + 300 * DAY + timedelta(minutes=30)
    found = hourly(woken, "all")
    assert len(found.fire) == MAX_CATCH_UP
    assert found.fire[-1] == NINE + 300 * DAY
    assert found.missed <= MAX_COUNTED + 1
    assert found.next_at == NINE + 300 * DAY + HOUR


def test_one_time_is_over_once_it_has_come() -> None:
    def once(now: datetime, catch_up: str = "once") -> Due:
        return due(cron=None, timezone="UTC", next_at=NINE, now=now, catch_up=catch_up)

    assert once(NINE) == Due([NINE], 0, None)
    assert once(NINE + DAY) == Due([NINE], 1, None)
    assert once(NINE + DAY, "skip") == Due([], 1, None)
