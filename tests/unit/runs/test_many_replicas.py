"""Of many replicas each does less of what all do, so that one primary carries them."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.runs.replica import (
    BEAT,
    MOST_BEATS,
    SEARCHERS,
    SPACING,
    beat_interval,
    search_probability,
    spacing,
)

pytestmark = pytest.mark.requirement("replicas:many")
TTL = 15.0


@pytest.mark.parametrize("replicas", [1, 2, 3, 10])
def test_a_few_replicas_do_everything_at_once(replicas: int) -> None:
    assert beat_interval(replicas, TTL) == BEAT
    assert spacing(replicas) == SPACING


@pytest.mark.parametrize("replicas", [30, 100, 1_000, 100_000])
def test_many_beat_and_notify_less_often_and_still_within_what_others_wait_for(replicas: int) -> None:
    assert beat_interval(replicas, TTL) > BEAT
    assert beat_interval(replicas, TTL) <= TTL / MOST_BEATS
    assert SPACING < spacing(replicas) <= 1


@pytest.mark.parametrize("replicas", [1, 4, 100, 1_000])
def test_as_many_look_for_the_dead_in_a_round_however_many_there_are(replicas: int) -> None:
    assert search_probability(replicas) * replicas == pytest.approx(min(replicas, SEARCHERS))


def test_a_short_time_to_live_is_never_outwaited() -> None:
    assert beat_interval(1_000, 1.0) == BEAT
