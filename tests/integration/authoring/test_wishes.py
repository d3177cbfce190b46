"""Eighteen wishes carried out by the tools alone: no terminal, few calls, few tokens."""

from __future__ import annotations

import statistics

import pytest
from tests.integration.authoring.wish_plays import WISHES
from tests.integration.authoring.wish_stage import Spent, carry_out_all

pytestmark = [pytest.mark.deep("carries out eighteen wishes"), pytest.mark.anyio, pytest.mark.slow]

MAX_CALLS, MAX_TOKENS = 5, 1_500
"""At the median."""
MOST_CALLS, MOST_TOKENS = 6, 4_000


@pytest.fixture(scope="module")
async def spent(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Spent]:
    """All wishes, in one home: what each took."""
    return await carry_out_all(tmp_path_factory.mktemp("wishes"))


@pytest.mark.requirement("author:wishes")
async def test_eighteen_wishes_are_carried_out_by_tools_alone_in_few_calls(spent: dict[str, Spent]) -> None:
    assert [name for name, one in spent.items() if one.problem] == [], spent
    assert set(spent) == set(WISHES)
    assert statistics.median(one.calls for one in spent.values()) <= MAX_CALLS
    assert statistics.median(one.tokens for one in spent.values()) <= MAX_TOKENS
    assert max(one.calls for one in spent.values()) <= MOST_CALLS
    assert max(one.tokens for one in spent.values()) <= MOST_TOKENS


@pytest.mark.requirement("author:wishes")
async def test_no_answer_on_the_way_sends_anybody_to_a_terminal(spent: dict[str, Spent]) -> None:
    # A page has a command beside it for those who are in a terminal anyway.
    sent = {name: one.commands for name, one in spent.items() if one.commands}
    assert sent == {}
