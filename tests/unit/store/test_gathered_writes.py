"""Writes that share a transaction: soon, later, or never where they are over before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from codewords_mcp.runtime.store import run_purge, runs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("store:write-soon")
async def test_what_is_written_soon_is_seen_by_the_next_read_and_one_failure_spoils_no_other(
    database: Database,
) -> None:
    def add(name: str) -> Callable[[Connection], None]:
        return lambda c: runs.add(c, {"id": name, "owner": "o", "status": "queued", "created_at": now()})

    futures = [database.write_soon(add(name)) for name in ("a", "b", "a", "c")]
    assert await database.read(run_purge.count) == 3
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    assert [type(one).__name__ for one in outcomes] == ["NoneType", "NoneType", "IntegrityError", "NoneType"]
    last = database.write_soon(lambda c: runs.change(c, "a", {"status": "running"}))
    await database.write(lambda c: runs.change(c, "a", {"status": "succeeded"}))
    assert last.done()
    run = await database.read(lambda c: runs.get(c, "a"))
    assert run is not None
    assert run.status == "succeeded"


@pytest.mark.requirement("store:write-soon")
async def test_what_is_written_later_shares_the_next_transaction_in_order(database: Database) -> None:
    transactions = database.measures.transactions

    def add(name: str) -> Callable[[Connection], None]:
        return lambda c: runs.add(c, {"id": name, "owner": "o", "status": "queued", "created_at": now()})

    await database.write_soon(add("a"))
    before = transactions.count("write")
    later = database.write_later(lambda c: runs.change(c, "a", {"status": "running"}))
    soon = database.write_soon(lambda c: runs.change(c, "a", {"status": "failed"}, only_from=("running",)))
    await asyncio.gather(later, soon)
    assert transactions.count("write") == before + 1

    last = database.write_later(lambda c: runs.change(c, "a", {"service_id": "s"}))
    run = await database.read(lambda c: runs.get(c, "a"))
    assert last.done()
    assert run is not None
    assert (run.status, run.service_id) == ("failed", "s")
    # By itself where nothing else is written or read.
    await database.write_later(add("b"))


@pytest.mark.requirement("store:write-soon")
async def test_a_passing_state_is_written_for_a_read_and_not_once_it_is_over(database: Database) -> None:
    async def status() -> str:
        run = await database.read(lambda c: runs.get(c, "a"))
        assert run is not None
        return run.status

    def passing() -> asyncio.Future[None]:
        return database.write_passing(lambda c: runs.change(c, "a", {"status": "running"}))

    await database.write(
        lambda c: runs.add(c, {"id": "a", "owner": "o", "status": "starting", "created_at": now()})
    )
    over = passing()
    await database.write(lambda c: runs.change(c, "a", {"depth": 1}))
    assert not over.done()
    over.cancel()
    assert await status() == "starting"

    seen = passing()
    assert await status() == "running"
    assert seen.done()

    # By itself where nothing is read.
    await passing()
