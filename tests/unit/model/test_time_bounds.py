"""Numbers and texts of time from outside: every one is bounded, whatever it is."""

from __future__ import annotations

import contextlib
import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.time_bounds import (
    LAST_YEAR,
    MAX_SECONDS,
    check_seconds,
    parse_moment,
    parse_seconds,
)
from codewords_mcp.runtime.store.clock import to_datetime, to_micros

pytestmark = pytest.mark.requirement("time:bounds")
ENDS = [
    "0001-01-01T00:00",
    "0001-01-01T00:00+14:00",
    "9999-12-31T23:59",
    "9999-12-31T23:59:59.999999-12:00",
    "9999-12-31",
]


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 1e300, 9e15, -1, -1e-9, MAX_SECONDS + 1])
def test_a_duration_is_a_number_within_its_bounds(value: float) -> None:
    with pytest.raises(InvalidInput, match="`wait` must be a number of seconds from 0 to"):
        check_seconds(value, "wait")
    with pytest.raises(InvalidInput):
        parse_seconds(repr(value), "wait")


@given(st.floats(), st.text(max_size=50))
def test_what_is_taken_as_a_duration_can_be_added_to_any_moment_that_is_taken(
    value: float, text: str
) -> None:
    for read in (lambda: check_seconds(value, "x"), lambda: parse_seconds(text, "x")):
        try:
            seconds = read()
        except InvalidInput:
            continue
        assert to_datetime(to_micros(datetime(LAST_YEAR - 1, 12, 31, tzinfo=UTC)) + int(seconds * 1e6))


@pytest.mark.parametrize("text", ENDS)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC", "America/St_Johns"])
def test_a_moment_at_the_ends_of_the_calendar_is_refused_in_every_zone(text: str, zone: str) -> None:
    with pytest.raises(InvalidInput, match="A time must be after 1970"):
        parse_moment(text, zone=ZoneInfo(zone))


@given(st.datetimes(), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
def test_a_moment_that_is_taken_can_be_kept_and_shown(moment: datetime, offset: timedelta) -> None:
    from datetime import timezone

    text = moment.replace(tzinfo=timezone(offset)).isoformat()
    try:
        kept = parse_moment(text)
    except InvalidInput:
        assert not 1970 < moment.year < LAST_YEAR
        return
    assert to_datetime(to_micros(kept)) == kept


@given(st.text(max_size=40))
def test_a_text_is_a_moment_or_invalid_input(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        assert parse_moment(text, zone=UTC).tzinfo is UTC
