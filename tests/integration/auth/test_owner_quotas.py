"""Quotas of the owners of one database: refused in words, seen, and none takes from another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import Connection
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import ECHO, make_home, workflow
from tests.support.waiting import until

from codewords_mcp.cli.doctor.configured import configured_findings
from codewords_mcp.errors import QuotaExceeded
from codewords_mcp.runtime.model.quota import EACH, QuotaLimits
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.runs.owner_quotas import REFRESH_INTERVAL, OwnerQuotas
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("quotas:owners")]
KEY, GIB = "cwk-home-of-quotas", 1 << 30
SLOW = workflow(
    '@app.post("/")\nasync def wait():\n    import asyncio\n    await asyncio.Event().wait()\n', title="Slow"
)


# counted in the transaction that records a run


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = None
    if request.param == "postgresql":
        url = cast("Postgres", request.getfixturevalue("postgres")).migrated_url()
    opened = Database.open(tmp_path, url)
    yield opened
    await opened.drained()
    opened.close()


def add(connection: Connection, quotas: OwnerQuotas, owner: str, number: int, *, ago: float = 0.0) -> bool:
    """Record a run unless the quota refuses it; whether it was recorded."""
    if quotas.runs_refusal(connection, owner) is not None:
        return False
    row: RunColumns = {
        "id": f"{owner}-{number}", "owner": owner, "created_at": now() - int(ago * 1e6), "service_id": "flow_0a1b2c3d",
        "version": 1, "status": "running", "correlation_id": "c",
    }  # fmt: skip
    rows.add(connection, row)
    return True


@pytest.mark.anyio
async def test_of_many_runs_at_once_no_more_begin_than_the_quota_has(database: Database) -> None:
    quotas = OwnerQuotas(database, GIB)
    await quotas.set("sales", QuotaLimits(runs_per_hour=7))
    # In transactions at once where the database has such, as those of several replicas.
    write = database.aside if database.shared else database.write
    asked = [write(add, quotas, owner, number) for number in range(20) for owner in ("sales", "labs")]
    done = await asyncio.gather(*asked)
    assert sum(done[::2]) == 7, "those of sales"
    assert sum(done[1::2]) == 20, "those of labs, which has no quota"


@pytest.mark.anyio
async def test_a_refused_run_is_told_when_there_is_room_again(database: Database) -> None:
    quotas = OwnerQuotas(database, GIB)
    await quotas.set("sales", QuotaLimits(runs_per_hour=2, runs_per_day=3))
    assert await database.write(add, quotas, "sales", 1, ago=3000)
    assert await database.write(add, quotas, "sales", 2, ago=10)
    refused = await database.read(quotas.runs_refusal, "sales")
    assert isinstance(refused, QuotaExceeded)
    assert refused.message == "sales has begun 2 runs within the last hour, which is its quota."
    assert 590 <= refused.retry_after <= 600, "the oldest of the two is 3,000 s old"
    await quotas.set("sales", QuotaLimits(runs_per_day=2))
    refused = await database.read(quotas.runs_refusal, "sales")
    assert refused is not None
    assert "within the last day" in refused.message


@pytest.mark.anyio
async def test_an_owner_without_a_quota_has_that_of_each_but_not_the_home(database: Database) -> None:
    quotas = OwnerQuotas(database, GIB)
    await quotas.set(EACH, QuotaLimits(concurrency=3, memory=2 * GIB))
    await quotas.set("sales", QuotaLimits(concurrency=9))
    assert quotas.concurrency("labs") == 2, "as many sandboxes as have 2 GiB"
    assert quotas.concurrency("sales") == 9
    assert quotas.concurrency("local") is None
    assert await quotas.remove("sales")
    assert not await quotas.remove("sales")
    assert quotas.concurrency("sales") == 2


@pytest.mark.anyio
async def test_another_replicas_change_holds_after_a_second(postgres: Postgres, tmp_path: Path) -> None:
    database = Database.open(tmp_path, postgres.migrated_url())
    one, other = OwnerQuotas(database, GIB), OwnerQuotas(database, GIB)
    await one.set("sales", QuotaLimits(concurrency=1))
    other._as_of -= REFRESH_INTERVAL  # pyright: ignore[reportPrivateUsage]
    await other.refresh()
    assert other.concurrency("sales") == 1
    database.close()


# over HTTP


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = make_home(tmp_path_factory.mktemp("quotas") / "home")
    settings = {"home": home, "port": 0, "api_key": KEY, "concurrency": 4, "memory_limit": GIB}
    with Door(Settings.model_validate(settings)) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(door: Door) -> Iterator[httpx.Client]:
    with door.client(KEY) as http:
        yield http


class Tenant:
    """An owner with a key of their own and two workflows."""

    def __init__(self, door: Door, home: httpx.Client, name: str) -> None:
        self.name = name
        made = home.post("/keys", json={"owner": name, "kind": "user"})
        self.http = door.client(made.json()["key"])
        self.echo, self.slow = (
            self.http.post("/deploy", json={"code": code, "name": title, "allow": True}).json()["service_id"]
            for code, title in ((ECHO, "Echo"), (SLOW, "Slow"))
        )

    def run(self) -> httpx.Response:
        return self.http.post(f"/run/{self.echo}/", json={"a": 1})


@pytest.fixture(scope="module")
def tenants(door: Door, home: httpx.Client) -> Iterator[tuple[Tenant, Tenant]]:
    pair = Tenant(door, home, "sales"), Tenant(door, home, "labs")
    yield pair
    for tenant in pair:
        tenant.http.close()


def own_use(tenant: Tenant) -> dict[str, int]:
    """The use that an owner sees of their own quota."""
    [own] = tenant.http.get("/quotas").json()["items"]
    return own["used"]


def set_quota(home: httpx.Client, owner: str, **limits: int) -> httpx.Response:
    return home.put(f"/quotas/{owner}", json={"limits": limits})


@pytest.fixture(autouse=True)
def no_quotas(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "home" in request.fixturenames:
        http = cast("httpx.Client", request.getfixturevalue("home"))
        for quota in http.get("/quotas").json()["items"]:
            http.delete(f"/quotas/{quota['owner']}")


def test_a_run_beyond_the_quota_is_refused_in_words_and_others_go_on(
    home: httpx.Client, tenants: tuple[Tenant, Tenant]
) -> None:
    sales, labs = tenants
    begun = set_quota(home, "sales", runs_per_day=1).json()
    assert begun["limits"]["runs_per_day"] == 1
    used = own_use(sales)["runs_per_day"]
    assert set_quota(home, "sales", runs_per_day=used + 1).status_code == 200
    assert sales.run().status_code == 200
    refused = sales.run()
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "quota_exceeded"
    assert error["message"] == f"sales has begun {used + 1} runs within the last day, which is its quota."
    assert "PUT /quotas/sales" in error["hint"]
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert sales.http.post(f"/run_async/{sales.echo}/", json={}).status_code == 429
    assert labs.run().status_code == 200
    assert home.get("/runs").status_code == 200


def test_runs_at_once_and_waiting_are_bounded_by_concurrency_and_memory(
    home: httpx.Client, tenants: tuple[Tenant, Tenant]
) -> None:
    sales, labs = tenants
    set_quota(home, "sales", memory=2 * GIB, queue_limit=1)
    until(lambda: own_use(sales)["concurrency"] == 0, "earlier runs to end", 60)
    begun: list[str] = []

    def statuses() -> list[str]:
        listed = sales.http.get(f"/runs?service_id={sales.slow}&limit={len(begun)}").json()["items"]
        return sorted(run["status"] for run in listed)

    # All at once: those that are about to take a free slot are not among the waiting.
    begun += [sales.http.post(f"/run_async/{sales.slow}/").json()["request_id"] for _ in range(3)]
    refused = sales.http.post(f"/run_async/{sales.slow}/")
    assert refused.status_code == 429
    assert "1 runs of sales are waiting, which is its quota." in refused.json()["error"]["message"]
    assert labs.run().status_code == 200
    until(lambda: statuses() == ["queued", "running", "running"], "the runs' statuses", 60)

    [shown] = [quota for quota in home.get("/quotas").json()["items"] if quota["owner"] == "sales"]
    assert (shown["used"]["concurrency"], shown["used"]["queue_limit"], shown["used"]["memory"]) == (
        2,
        1,
        2 * GIB,
    )
    [finding] = configured_findings(home.get("/status").json())
    assert (finding.id, finding.status) == ("quotas", "warning")
    assert "sales has used up its quota: queue_limit, memory" in finding.detail
    for run_id in begun:
        sales.http.post(f"/runs/{run_id}/cancel")


def test_files_beyond_the_quota_are_refused_and_others_are_stored(
    home: httpx.Client, tenants: tuple[Tenant, Tenant]
) -> None:
    sales, labs = tenants
    set_quota(home, "sales", storage=1000)

    def upload(tenant: Tenant, size: int) -> httpx.Response:
        links = tenant.http.post("/file?filename=a.bin").json()
        return tenant.http.put(links["upload_uri"], content=b"x" * size)

    assert upload(sales, 900).is_success
    refused = upload(sales, 200)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "storage_quota_exceeded"
    assert "sales may store 100 bytes more by its quota" in refused.json()["error"]["message"]
    assert upload(labs, 5000).is_success
    # 100 bytes more have room, and then none.
    assert upload(sales, 100).is_success
    assert "sales may store 0 bytes more" in upload(sales, 1).json()["error"]["message"]


def test_only_an_owner_of_the_home_sets_quotas_and_others_see_their_own(
    home: httpx.Client, tenants: tuple[Tenant, Tenant]
) -> None:
    sales, _ = tenants
    set_quota(home, "labs", concurrency=1)
    assert sales.http.put("/quotas/sales", json={"limits": {"concurrency": 99}}).status_code == 403
    assert sales.http.delete("/quotas/labs").status_code == 403
    [own] = sales.http.get("/quotas").json()["items"]
    assert (own["owner"], own["limits"]["concurrency"]) == ("sales", None)
    assert {quota["owner"] for quota in home.get("/quotas").json()["items"]} == {"labs"}
    entry = home.get("/audit?action=quota.create").json()["items"][0]
    assert (entry["target"], entry["after"]["concurrency"]) == ("labs", 1)


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        ({}, 400),
        ({"concurrency": 0}, 400),
        ({"memory": 1}, 400),
        ({"unknown": 1}, 400),
        ({"runs_per_hour": 0}, 200),
    ],
)
def test_a_quota_that_cannot_be_is_refused(home: httpx.Client, limits: dict[str, Any], status: int) -> None:
    assert set_quota(home, "sales", **limits).status_code == status
    assert home.delete("/quotas/nobody").status_code == 404


def test_two_owners_at_once_each_get_their_own_quota(
    home: httpx.Client, tenants: tuple[Tenant, Tenant]
) -> None:
    for tenant in tenants:
        used = own_use(tenant)["runs_per_hour"]
        set_quota(home, tenant.name, runs_per_hour=used + 3)
    with ThreadPoolExecutor(12) as pool:
        answers = [(tenant.name, pool.submit(tenant.run)) for _ in range(6) for tenant in tenants]
    for tenant in tenants:
        codes = sorted(answer.result().status_code for name, answer in answers if name == tenant.name)
        assert codes == [200] * 3 + [429] * 3
