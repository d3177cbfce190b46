"""Rate limits: calls over the rate wait, keys take turns, and what the provider says is honoured."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway import rate_limits as rates
from codewords_mcp.runtime.gateway.attribution import CallAttribution
from codewords_mcp.runtime.gateway.rate_limits import RateLimits, Turnstile

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:rates")]
ADA = CallAttribution("ada", "adas")


async def test_waiting_keys_take_turns_whoever_asks_more() -> None:
    turnstile = Turnstile("OpenAI", 3000)
    came: list[str] = []

    async def ask(key: str) -> None:
        await turnstile.enter(key)
        came.append(key)

    await turnstile.enter("first")
    greedy = [asyncio.create_task(ask("greedy")) for _ in range(6)]
    await asyncio.sleep(0)
    modest = [asyncio.create_task(ask("modest")) for _ in range(2)]
    await asyncio.gather(*greedy, *modest)
    assert came == ["greedy", "modest", "greedy", "modest", "greedy", "greedy", "greedy", "greedy"]
    assert turnstile.waiting == 0


async def test_calls_are_let_through_at_the_rate_and_no_faster() -> None:
    loop, turnstile = asyncio.get_running_loop(), Turnstile("OpenAI", 6000)
    began = loop.time()
    for _ in range(6):
        await turnstile.enter("key")
    assert loop.time() - began >= 0.05  # five gaps of 10 ms; a bound from below, which no machine can miss


async def test_who_leaves_takes_nobodys_turn() -> None:
    turnstile = Turnstile("OpenAI", 6000)
    await turnstile.enter("key")
    leaver = asyncio.create_task(turnstile.enter("leaver"))
    await asyncio.sleep(0)
    leaver.cancel()
    await turnstile.enter("stayer")
    assert leaver.cancelled()


async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "MOST", 0.05)
    limited = RateLimits({"openai": 60_000})
    await limited.enter("openai", ADA)
    limited.told("openai", 60)
    with pytest.raises(TooBusy) as refused:
        await limited.enter("openai", ADA)
    assert refused.value.retry_after >= 1
    await limited.enter("anthropic", ADA)


async def test_a_key_over_its_rate_waits_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST", 0.05)
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


async def test_turnstiles_of_keys_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_KEYS", 3)
    limited = RateLimits({}, {"*": 6_000_000})
    for number in range(20):
        await limited.enter("openai", CallAttribution("ada", str(number)))
        while not all(held.idle for held in limited.held.values()):
            await asyncio.sleep(0)
    assert len(limited.held) <= 3


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
