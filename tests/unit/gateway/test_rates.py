"""Rate limits: calls over the rate wait, keys take turns, and what the provider says is honoured."""

from __future__ import annotations

import asyncio

import pytest

from codewords_mcp.errors import InvalidInput, TooBusy
from codewords_mcp.runtime.gateway import rates
from codewords_mcp.runtime.gateway.rates import Rates, Turnstile

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:rates")]


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
    limited = Rates({"openai": 60_000})
    limited.told("openai", 200, "60")
    await limited.enter("openai", "key")
    limited.told("openai", 429, "60")
    with pytest.raises(TooBusy) as refused:
        await limited.enter("openai", "key")
    assert refused.value.retry_after >= 1
    await limited.enter("anthropic", "key")


@pytest.mark.parametrize("given", [{"openai": 0}, {"openai": -1}, {"opnai": 5}])
async def test_what_is_no_rate_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        Rates(given)
