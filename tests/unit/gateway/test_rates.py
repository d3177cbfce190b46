"""Rate limits: calls over the rate wait, keys take turns, and what the provider says is honoured."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.waiting import until_async

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway import rate_limits as rates
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.rate_limits import CallPacer, RateLimits

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:rates")]
ADA = CallAttribution("ada", "adas")


async def test_waiting_keys_take_turns_whoever_asks_more() -> None:
    pacer = CallPacer("OpenAI", 3000)
    came: list[str] = []

    async def ask(key: str) -> None:
        await pacer.enter(key)
        came.append(key)

    await pacer.enter("first")
    greedy = [asyncio.create_task(ask("greedy")) for _ in range(6)]
    await asyncio.sleep(0)
    modest = [asyncio.create_task(ask("modest")) for _ in range(2)]
    await asyncio.gather(*greedy, *modest)
    assert came == ["greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy", "greedy"]
    assert pacer.waiting == 0


async def test_calls_are_let_through_at_the_rate_and_no_faster() -> None:
    loop, pacer = asyncio.get_running_loop(), CallPacer("OpenAI", 6000)
    began = loop.time()
    for _ in range(6):
        await pacer.enter("key")
    assert loop.time() - began >= 0.05  # five gaps of 10 ms; a bound from below, which no machine can miss


async def test_who_leaves_takes_nobodys_turn() -> None:
    pacer = CallPacer("OpenAI", 6000)
    await pacer.enter("key")
    leaver = asyncio.create_task(pacer.enter("leaver"))
    await asyncio.sleep(0)
    leaver.cancel()
    await pacer.enter("stayer")
    assert leaver.cancelled()


async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "MAX_WAIT", 0.05)
    limited = RateLimits({"openai": 60_000})
    await limited.enter("openai", ADA)
    limited.on_refused("openai", 60)
    with pytest.raises(TooBusy) as refused:
        await limited.enter("openai", ADA)
    assert refused.value.retry_after >= 1
    await limited.enter("anthropic", ADA)


async def test_a_key_over_its_rate_waits_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_WAIT", 0.05)
    limited = RateLimits({}, {"*": 0.1, "free": 60_000})
    await limited.enter("openai", ADA)
    with pytest.raises(TooBusy) as refused:  # whichever provider it asks
        await limited.enter("anthropic", ADA)
    assert "CODEWORDS_KEY_RATES" in (refused.value.hint or "")
    await limited.enter("openai", CallAttribution("bob", "bobs"))
    for _ in range(3):
        await limited.enter("openai", CallAttribution("bob", "free"))


async def test_the_runs_of_a_key_take_turns_at_its_rate() -> None:
    limited = RateLimits({}, {"*": 3000})
    came: list[str] = []

    async def ask(run: str) -> None:
        await limited.enter("openai", CallAttribution("ada", "adas", (run,)))
        came.append(run)

    await ask("first")
    asked = [asyncio.create_task(ask(run)) for run in ("greedy", "greedy", "greedy", "modest")]
    await asyncio.gather(*asked)
    assert came == ["first", "greedy", "modest", "greedy", "greedy"]


async def test_idle_limiters_of_keys_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MAX_KEY_LIMITERS", 3)
    limited = RateLimits({}, {"*": 6_000_000})
    for number in range(20):
        await limited.enter("openai", CallAttribution("ada", str(number)))
        await until_async(lambda: all(key_limiters.idle for key_limiters in limited.key_limiters.values()))
    assert len(limited.key_limiters) <= 3


@pytest.mark.parametrize(
    ("providers", "keys"),
    [
        ({"openai": 0}, {}),
        ({"openai": -1}, {}),
        ({"opnai": 5}, {}),
        ({}, {"*": 0}),
        ({}, {"k": float("nan")}),
    ],
)
async def test_what_is_no_rate_is_refused(providers: dict[str, float], keys: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        RateLimits(providers, keys)
