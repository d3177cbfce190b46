"""A hundred runs at once against each kind of budget: what they spend together never passes it, on either database."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal

import pytest
from tests.integration.gateway.helpers import CHAT, KEYS
from tests.support.databases import open_database
from tests.support.http_runtime import ADMIN_KEY
from tests.support.postgres import Postgres

from codewords_mcp.runtime.auth.api_keys import ApiKeys
from codewords_mcp.runtime.gateway.gateway import Gateway
from codewords_mcp.runtime.gateway.prices import USD
from codewords_mcp.runtime.model.budget import BudgetPeriod, BudgetScope
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.model_errors import BudgetExceeded
from codewords_mcp.runtime.model.provider import ProviderRequest
from codewords_mcp.runtime.secrets.master_key import load_master_key
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.secrets.vault import Vault
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings
from codewords_testing.providers import LoopbackProviders

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.requirement("gateway:budgets")]
RUNS = 100
SLOW = CHAT | {"model": "gpt-4o-mini-w50"}
LIMIT = 0.001
"""USD: about eleven calls may be under way at once, since each may cost 0.00009; each costs a sixth of that."""


@pytest.fixture(scope="module")
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Database]]:
    """The database of a home; on PostgreSQL as two replicas have it."""
    home, url = tmp_path_factory.mktemp("ceilings"), None
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.migrated_url()
    opened = [open_database(home, url) for _ in range(2 if url else 1)]
    yield opened
    for database in opened:
        database.close()


@pytest.fixture
async def gateways(
    databases: list[Database], tmp_path: Path, providers: LoopbackProviders, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[list[Gateway]]:
    monkeypatch.setenv("OPENAI_API_KEY", KEYS["openai"])
    settings = Settings.model_validate(
        {
            "home": tmp_path, "port": 0, "api_key": ADMIN_KEY, "openai_base_url": providers.url,
            "model_aliases": {SLOW["model"]: "gpt-4o-mini"},
        }
    )  # fmt: skip
    vault = Vault(load_master_key(None, tmp_path))
    made = [
        Gateway(
            SecretService(one, vault),
            ApiKeys(one, tmp_path, ADMIN_KEY),
            one,
            settings,
            executor=f"replica {number}",
        )
        for number, one in enumerate(databases)
    ]
    yield made
    for gateway in made:
        await gateway.close()


async def asked(
    gateway: Gateway, run_id: str, key_id: str, max_tokens: int = 100
) -> Literal["made", "refused"]:
    """What becomes of a run's call."""

    async def body() -> AsyncIterator[bytes]:
        yield json.dumps(SLOW | {"max_tokens": max_tokens}).encode()

    caller = Caller("ada", "run", key_id, run_id)
    call = ProviderRequest(
        "openai", "POST", "/chat/completions", b"", [], body(), caller, run_mount=False, here="", length=None
    )
    try:
        reply = await gateway.send(call)
    except BudgetExceeded:
        return "refused"
    assert reply.status == 200
    async for _ in reply.body:
        pass
    return "made"


BUDGETS: list[tuple[BudgetScope, BudgetPeriod, str]] = [
    ("run", "total", ""), ("home", "day", ""), ("workflow", "total", "service"), ("key", "total", "key"), ("home", "total", ""),
]  # fmt: skip
CASES = [("sqlite", *one) for one in BUDGETS] + [("postgresql", *one) for one in BUDGETS[:2]]


@pytest.mark.parametrize(("databases", "scope", "period", "of"), CASES, indirect=["databases"])
async def test_a_hundred_runs_at_once_never_pass_a_budget_together(
    databases: list[Database], gateways: list[Gateway], scope: BudgetScope, period: BudgetPeriod, of: str
) -> None:
    mine = f"{scope} {period}"
    key, service = f"key {mine}", f"service {mine}"
    before = await gateways[0].ledger.spent(since="") / USD
    limit, subject = LIMIT + (before if scope == "home" else 0), f"{of} {mine}" if of else ""
    await gateways[0].budgets.set(scope, subject, period, limit)
    for gateway in gateways:
        gateway.call_chain.begin(mine, Caller("ada", "user", key), "what starts them")
        for number in range(RUNS):
            gateway.call_chain.begin(f"{number} {mine}", Caller("ada", "run", key, mine), service)

    async def crowd(runs: int) -> Counter[str]:
        calls = (asked(gateways[one % len(gateways)], f"{one} {mine}", key) for one in range(runs))
        return Counter(await asyncio.gather(*calls))

    async def spent() -> float:
        for gateway in gateways:
            gateway.ledger.flush()
        for database in databases:
            await database.drained()
        return await gateways[-1].ledger.spent(since="") / USD - before

    first = await crowd(RUNS)
    assert first["made"] >= 10
    assert first["refused"] > 0
    assert await spent() <= LIMIT
    while (await crowd(12))["made"]:  # until nothing fits any more
        pass
    assert LIMIT * 0.85 < await spent() <= LIMIT
    await gateways[0].budgets.remove(scope, subject, period)


@pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)
async def test_no_single_call_may_cost_more_than_its_own_budget(gateways: list[Gateway]) -> None:
    await gateways[0].budgets.set("call", "", "total", 0.0001)
    sizes = [100 if number % 2 else 1000 for number in range(RUNS)]
    outcomes = await asyncio.gather(
        *(asked(gateways[one % len(gateways)], f"run {one}", "key", size) for one, size in enumerate(sizes))
    )
    assert outcomes == ["made" if size == 100 else "refused" for size in sizes]
    await gateways[0].budgets.remove("call", "", "total")
