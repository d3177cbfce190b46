"""Quotas of the owners of one database: refused in words, seen, and none takes from another's."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sqlalchemy import Connection, insert
from tests.support.http_runtime import Door
from tests.support.postgres import Postgres
from tests.support.runtime import ECHO, make_home, workflow
from tests.support.waiting import until, until_async

from codewords_mcp.cli.doctor.configured import configured_findings
from codewords_mcp.errors import QuotaExceeded
from codewords_mcp.runtime.model.quota import EACH, QuotaLimits, StoredBytes
from codewords_mcp.runtime.model.run_columns import RunColumns
from codewords_mcp.runtime.runs.owner_quotas import REFRESH_INTERVAL, OwnerQuotas
from codewords_mcp.runtime.runs.stored_data import StoredData
from codewords_mcp.runtime.store import runs as rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.tables import log_chunks
from codewords_mcp.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.requirement("quotas:owners")]
KEY, GIB = "cwk-home-of-quotas", 1 << 30
SLOW = workflow(
    '@app.post("/")\nasync def wait():\n    import asyncio\n    await asyncio.Event().wait()\n', title="Slow"
)

WRITES = workflow(
    """
import json, os, urllib.request
@app.post("/")
def write():
    print("x" * 40_000, flush=True)
    body = {"migrate": ["CREATE TABLE notes (text TEXT)"], "sql": "INSERT INTO notes VALUES (:text)",
            "parameters": {"text": "x" * 100_000}}
    urllib.request.urlopen(urllib.request.Request(
        os.environ["CODEWORDS_RUNTIME_URI"] + "/run/database/", json.dumps(body).encode(),
        {"Authorization": "Bearer " + os.environ["CODEWORDS_API_KEY"], "Content-Type": "application/json"},
    )).read()
    return {"text": "y" * 20_000}
""",
    title="Writes",
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


async def no_databases(_owner: str) -> int:
    return 0


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
    quotas = OwnerQuotas(database, GIB, StoredData(database, no_databases))
    await quotas.set("sales", QuotaLimits(runs_per_hour=7))
    # In transactions at once where the database has such, as those of several replicas.
    write = database.aside if database.shared else database.write
    asked = [write(add, quotas, owner, number) for number in range(20) for owner in ("sales", "labs")]
    done = await asyncio.gather(*asked)
    assert sum(done[::2]) == 7, "those of sales"
    assert sum(done[1::2]) == 20, "those of labs, which has no quota"


@pytest.mark.anyio
async def test_a_refused_run_is_told_when_there_is_room_again(database: Database) -> None:
    quotas = OwnerQuotas(database, GIB, StoredData(database, no_databases))
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
    quotas = OwnerQuotas(database, GIB, StoredData(database, no_databases))
    await quotas.set(EACH, QuotaLimits(concurrency=3, memory=2 * GIB))
    await quotas.set("sales", QuotaLimits(concurrency=9))
    assert quotas.concurrency("labs") == 2, "as many sandboxes as have 2 GiB"
    assert quotas.concurrency("sales") == 9
    assert quotas.concurrency("local") is None
    assert await quotas.remove("sales")
    assert not await quotas.remove("sales")
    assert quotas.concurrency("sales") == 2


@pytest.mark.anyio
@pytest.mark.requirement("quotas:storage")
async def test_rows_of_each_kind_are_measured_for_their_owner_alone(database: Database) -> None:
    text = secrets.token_hex(30_000)

    def fill(connection: Connection) -> None:
        for owner in ("sales", "labs"):
            run: RunColumns = {
                "id": f"{owner}-1", "owner": owner, "created_at": now(), "service_id": "flow_0a1b2c3d", "version": 1,
                "status": "succeeded", "correlation_id": "c", "response_content": text,
            }  # fmt: skip
            rows.add(connection, run)
            chunk = {"run_id": f"{owner}-1", "first_seq": 0, "lines": 1, "body": text}
            connection.execute(insert(log_chunks).values(chunk))

    await database.write(fill)
    stored = StoredData(database, no_databases, interval=0)
    assert await stored.of("sales") == StoredBytes(), "nobody waits for the first measurement"

    async def is_measured() -> bool:
        return (await stored.of("sales")).measured_at is not None

    await until_async(is_measured)
    found = await stored.of("sales")
    # PostgreSQL counts what compression leaves of it.
    assert 30_000 <= found.runs <= 62_000
    assert 30_000 <= found.logs <= 62_000
    assert (found.recordings, found.sources, found.values) == (0, 0, 0)
    await stored.close()


@pytest.mark.anyio
async def test_another_replicas_change_holds_after_a_second(postgres: Postgres, tmp_path: Path) -> None:
    database = Database.open(tmp_path, postgres.migrated_url())
    one, other = (
        OwnerQuotas(database, GIB, StoredData(database, no_databases)),
        OwnerQuotas(database, GIB, StoredData(database, no_databases)),
    )
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
        self.writes = ""
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


def own_use(tenant: Tenant) -> dict[str, Any]:
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
    most = measured(sales)["storage"] + 1000
    set_quota(home, "sales", storage=most)
    assert upload(sales, 900).is_success
    refused = upload(sales, 200)
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "storage_quota_exceeded"
    message = refused.json()["error"]["message"]
    assert (
        f"sales may store 100 bytes more by its quota of {most:,}, and this is larger. Stored are " in message
    )
    assert "files 900" in message
    assert upload(labs, 5000).is_success
    # 100 bytes more have room, and then none.
    assert upload(sales, 100).is_success
    assert "sales may store 0 bytes more" in upload(sales, 1).json()["error"]["message"]


def upload(tenant: Tenant, size: int) -> httpx.Response:
    links = tenant.http.post("/file?filename=a.bin").json()
    return tenant.http.put(links["upload_uri"], content=b"x" * size)


def measured(tenant: Tenant) -> dict[str, Any]:
    """The use of a tenant's quota once it was measured what is stored."""
    until(lambda: own_use(tenant)["stored"]["measured_at"], "a measurement", 60)
    return own_use(tenant)


def sql(tenant: Tenant, statement: str, **more: Any) -> httpx.Response:
    body = {"sql": statement, "workflow": tenant.writes, **more}
    return tenant.http.post("/run/database/", json=body)


@pytest.mark.requirement("quotas:storage")
def test_all_that_an_owner_stores_counts_and_full_storage_refuses_more(
    door: Door, home: httpx.Client
) -> None:
    stores = Tenant(door, home, "stores")
    stores.writes = stores.http.post(
        "/deploy", json={"code": WRITES, "name": "Writes", "allow": True}
    ).json()["service_id"]
    ran = stores.http.post(f"/run/{stores.writes}/", json={})
    assert (ran.status_code, len(ran.json()["text"])) == (200, 20_000), ran.text
    assert upload(stores, 3000).is_success
    used = measured(stores)
    kinds = used["stored"]
    assert kinds["files"] == 3000
    assert kinds["databases"] >= 100_000
    assert kinds["runs"] >= 20_000
    assert kinds["logs"] >= 30_000
    assert kinds["sources"] >= len(WRITES)
    assert used["storage"] == sum(size for kind, size in kinds.items() if kind != "measured_at")
    assert stores.http.get("/status").json()["stored"]["files"] == 3000
    other = Tenant(door, home, "stores-nothing")
    assert measured(other)["stored"]["databases"] == 0

    set_quota(home, "stores", storage=used["storage"])
    for refused in (
        upload(stores, 1),
        stores.http.post("/deploy", json={"code": ECHO, "name": "Another", "allow": True}),
        stores.http.post("/drafts", json={"code": ECHO}),
        sql(stores, "INSERT INTO notes VALUES ('more')"),
        sql(stores, "WITH more AS (SELECT 1) INSERT INTO notes SELECT * FROM more"),
    ):
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (413, "storage_quota_exceeded"), refused.text
        assert "databases 1" in error["message"]
        assert "PUT /quotas/stores" in error["hint"]
    assert stores.run().status_code == 200, "runs go on"
    assert sql(stores, "SELECT count(*) AS n FROM notes").json()["rows"] == [{"n": 1}]
    assert sql(stores, "DELETE FROM notes").json()["changed"] == 1, "what makes room is done"
    assert upload(other, 5000).is_success
    stores.http.close()
    other.http.close()


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
