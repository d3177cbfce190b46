"""The account of a run's budget while the run ends: what it began goes on, and is held to the same ceiling."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from codewords_mcp.runtime.gateway.accounts import AccountKey, LocalAccounts, Reservation, ReservationRequest
from codewords_mcp.runtime.gateway.attribution import CallAttribution, CallChain
from codewords_mcp.runtime.gateway.ledger import Ledger
from codewords_mcp.runtime.model.caller import Caller

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("gateway:budgets")]
RUN, OTHER = AccountKey("run", "r1", ""), AccountKey("workflow", "w1", "")
CHILD = CallAttribution("ann", "", ("r2", "r1"), ("w2", "w1"))


class _Books:
    """A ledger that has nothing written down, and answers when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def spent(self, **_matching: Any) -> int:
        await self.open.wait()
        return 0

    def open_reservation(self, *_call: Any) -> str:
        return "held"

    def release(self, _held: str) -> None:
        return None


def _accounts() -> tuple[LocalAccounts, _Books]:
    books = _Books()
    return LocalAccounts(cast("Ledger", books)), books


def _wish(*keys: AccountKey) -> ReservationRequest:
    return ReservationRequest(CHILD, "openai", "gpt-4o-mini", 6, dict.fromkeys(keys, 10))


async def test_what_is_reserved_outlives_the_run_whose_budget_it_is_of() -> None:
    accounts, _ = _accounts()
    first = await accounts.take(_wish(RUN))
    assert isinstance(first, Reservation)
    accounts.forget_run("r1")
    assert not isinstance(await accounts.take(_wish(RUN)), Reservation)
    accounts.settle(CHILD, first, 0)
    assert isinstance(await accounts.take(_wish(RUN)), Reservation)


async def test_an_account_of_an_ended_run_is_closed_with_its_last_call() -> None:
    accounts, _ = _accounts()
    first = await accounts.take(_wish(RUN))
    assert isinstance(first, Reservation)
    accounts.forget_run("r1")
    before = await accounts.read(RUN)
    accounts.settle(CHILD, first, 3)
    assert await accounts.read(RUN) is not before


async def test_two_calls_take_from_one_account_though_it_is_closed_between_two_looks() -> None:
    accounts, books = _accounts()
    await accounts.read(RUN)
    books.open.clear()
    waiting = asyncio.ensure_future(accounts.take(_wish(RUN, OTHER)))
    for _ in range(5):
        await asyncio.sleep(0)
    accounts.forget_run("r1")
    books.open.set()
    taken = [await accounts.take(_wish(RUN)), await waiting]
    assert sum(isinstance(one, Reservation) for one in taken) == 1


def test_a_call_of_a_run_that_has_ended_is_counted_as_its_record_says() -> None:
    ended, caller = list[str](), Caller("ann", "run", run_id="r1")
    call_chain = CallChain(ended.append, list[None])
    above = CallAttribution("ann", "k1", ("r1", "r0"), ("w1", "w0"))
    with call_chain.late("r1", above):
        with call_chain.late("r1", above):
            assert call_chain.origin(caller) == above
        assert call_chain.origin(caller) == above
        assert not ended
    assert ended == ["r1"]
    assert call_chain.origin(caller).services == ()
