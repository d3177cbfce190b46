"""Cron times, daylight saving, and what is said about nonsense."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.triggers import cron

pytestmark = pytest.mark.requirement("schedules:cron")
BERLIN = cron.parse_zone("Europe/Berlin")


def times(expression: str, zone: str, start: str, count: int) -> list[str]:
    where = cron.parse_zone(zone)
    begin = datetime.fromisoformat(start).replace(tzinfo=where).astimezone(UTC)
    found = cron.next_times(cron.check(expression), where, begin, count)
    assert all(moment.tzinfo is UTC for moment in found)
    return [moment.astimezone(where).strftime("%m-%d %H:%M %Z") for moment in found]


def test_times_follow_the_expression_in_its_zone() -> None:
    assert times("30 9 * * MON-FRI", "Asia/Tokyo", "2026-01-02T10:00", 2) == [
        "01-05 09:30 JST",
        "01-06 09:30 JST",
    ]
    assert times("0 0 L * *", "UTC", "2026-02-01T00:00", 2) == ["02-28 00:00 UTC", "03-31 00:00 UTC"]
    assert times("*/20 8-9 1,15 * *", "UTC", "2026-01-01T08:30", 4) == [
        "01-01 08:40 UTC", "01-01 09:00 UTC", "01-01 09:20 UTC", "01-01 09:40 UTC",
    ]  # fmt: skip


@pytest.mark.parametrize("alias", [*cron.ALIASES, " @DAILY "])
def test_every_alias_has_times(alias: str) -> None:
    assert len(cron.next_times(cron.check(alias), UTC, datetime(2026, 1, 1, tzinfo=UTC), 2)) == 2


@pytest.mark.requirement("schedules:daylight")
def test_a_time_that_the_clock_skips_comes_right_after_the_gap() -> None:
    assert times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 2) == [
        "03-29 03:00 CEST",
        "03-30 02:30 CEST",
    ]


@pytest.mark.requirement("schedules:daylight")
def test_a_time_in_the_hour_that_comes_twice_comes_once() -> None:
    assert times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == [
        "10-25 02:30 CEST",
        "10-26 02:30 CET",
    ]


@pytest.mark.requirement("schedules:daylight")
@pytest.mark.parametrize("day", ["2026-03-28T20:00", "2026-10-24T20:00"])
def test_jobs_every_some_minutes_follow_the_real_time_over_a_change(day: str) -> None:
    begin = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
    found = cron.next_times("*/15 * * * *", BERLIN, begin, 60)
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(minutes=15)}


@pytest.mark.parametrize("expression", ["30 2 * * *", "*/7 * * * *", "0 0 29 2 *", "15,45 1-3 * * SUN"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_looking_back_finds_the_times_that_looking_ahead_gave(expression: str, zone: str) -> None:
    where, begin = cron.parse_zone(zone), datetime(2026, 3, 27, tzinfo=UTC)
    ahead = cron.next_times(expression, where, begin, 400)
    back: list[datetime] = []
    for moment in cron.before(expression, where, ahead[-1]):
        if moment <= begin:
            break
        back.append(moment)
    assert back[::-1] == ahead


@pytest.mark.parametrize(
    ("expression", "caret"),
    [
        ("61 * * * *", "^^"),
        ("0 9 * * MOO", "        ^^^"),
        ("0 25 * * *", "  ^^"),
        ("0 0 31 2 *", "    ^^"),
        ("0 0 * 13 *", "      ^^"),
        ("0 0 * */0 *", "      ^^^"),
        ("-5 * * * *", "^^"),
        ("0 0 30 2 MON", "    ^^"),
    ],
)
def test_what_is_wrong_has_a_caret_under_it(expression: str, caret: str) -> None:
    if expression.endswith("MON"):  # either day counts here, so that it does come
        assert cron.check(expression)
        return
    with pytest.raises(InvalidInput) as caught:
        cron.check(expression)
    assert caught.value.message.split("\n")[1:] == [expression, caret]


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("", "5 fields"),
        ("* * * *", "has 4"),
        ("0 0 * * * *", "has 6"),
        ("@fortnightly", "not an alias"),
        ("* * * * \x00", "ASCII"),
        ("☃ * * * *", "ASCII"),
        ("* " * 150, "ASCII"),
        ("0,' or 1=1 * * *", "fields"),
    ],
)
def test_what_is_no_cron_expression_is_told_how_one_looks(expression: str, word: str) -> None:
    with pytest.raises(InvalidInput, match=word) as caught:
        cron.check(expression)
    assert "five fields" in caught.value.hint


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "\x00", "Europe"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="zone"):
        cron.parse_zone(name)


def test_one_time_is_read_in_its_own_zone_or_the_given_one() -> None:
    assert cron.once_at("2026-12-24T18:00", BERLIN) == datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert cron.once_at("2026-12-24T18:00+05:00", BERLIN) == datetime(2026, 12, 24, 13, tzinfo=UTC)
    with pytest.raises(InvalidInput):
        cron.once_at("tomorrow", BERLIN)
