"""Circuits open, let one trial through and close; kept answers grow old and make room."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.gateway.cache import Cache
from codewords_mcp.runtime.gateway.health import (
    FAILURE_TTL,
    MAX_OPEN_TIMEOUT,
    OPEN_AFTER_FAILURES,
    OPEN_TIMEOUT,
    Health,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.requirement("gateway:circuits")
def test_a_circuit_opens_lets_one_trial_through_and_closes_when_it_works() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(OPEN_AFTER_FAILURES - 1):
        health.record_failure(("openai",))
        assert health.enter(("openai",)) == 0
    health.record_failure(("openai",))
    assert health.enter(("openai",)) == OPEN_TIMEOUT
    assert health.enter(("gemini",)) == 0
    clock.now += OPEN_TIMEOUT
    assert health.enter(("openai",)) == 0  # the trial
    assert health.enter(("openai",)) > 0  # nobody else
    health.record_failure(("openai",))
    assert health.blocked_for(("openai",)) == 2 * OPEN_TIMEOUT
    for _ in range(10):
        health.record_failure(("openai",))
    assert health.blocked_for(("openai",)) == MAX_OPEN_TIMEOUT
    clock.now += MAX_OPEN_TIMEOUT
    assert health.enter(("openai",)) == 0
    health.record_success(("openai",))
    assert health.enter(("openai",)) == health.enter(("openai",)) == 0


@pytest.mark.requirement("gateway:circuits")
def test_failures_far_apart_open_nothing_and_a_rest_is_bounded() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(3 * OPEN_AFTER_FAILURES):
        health.record_failure(("openai",))
        clock.now += FAILURE_TTL + 1
    assert health.enter(("openai",)) == 0
    health.rest(("openai", "key"), 10_000)
    assert health.blocked_for(("openai", "key")) == MAX_OPEN_TIMEOUT


@pytest.mark.requirement("gateway:cache")
def test_kept_answers_grow_old_and_the_least_asked_for_makes_room() -> None:
    clock = Clock()
    cache = Cache(max_bytes=100, clock=clock)
    for name in "abc":
        cache.put(name, 60, [(b"content-type", b"x"), (b"set-cookie", b"y")], b"x" * 30, {}, "model")
    kept = cache.find("a")
    assert kept is not None
    assert kept.headers == [(b"content-type", b"x")]
    cache.put("d", 60, [], b"x" * 30, {}, "model")
    assert [cache.find(name) is not None for name in "abcd"] == [True, False, True, True]
    cache.put("large", 60, [], b"x" * 101, {}, "model")
    assert [cache.find(name) for name in ("a", "large")] == [None, None]
    cache.put("e", 60, [], b"x", {}, "model")
    clock.now += 60
    assert cache.find("e") is None
