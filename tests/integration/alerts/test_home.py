"""Alerts of the home itself: its budgets, accounts, disk, and a runtime that was killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from tests.integration.alerts.helpers import alert_of
from tests.support.runtime import ADMIN, make_home, open_runtime, workflow
from tests.support.served_runtime import start_runtime
from tests.support.waiting import until, until_async

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.gateway.prices import USD
from codewords_mcp.runtime.model.alert import AlertKind
from codewords_mcp.runtime.store import model_usage
from codewords_mcp.runtime.store.tables import keys, secrets

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000
SLOW = workflow(
    """
import asyncio
@app.post("/")
async def slow(request: Request):
    print("began", flush=True)
    await asyncio.sleep(600)
""",
    title="Slow",
)


@pytest.mark.requirement("alerts:home")
async def test_a_budget_is_told_at_80_percent_and_when_it_is_spent_and_over_when_it_is_raised(
    runtime: Runtime,
) -> None:
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    spent = model_usage.UsageAccount("2026-01-01", "local", "", "", "", False, "openai", "a-model")
    await container.database.write(model_usage.add, {spent: {"calls": 1, "cost": int(0.85 * USD)}})
    levels: tuple[tuple[float, AlertKind, str], ...] = (
        (1.0, "budget_low", "open"),
        (0.5, "budget_spent", "open"),
        (10.0, "budget_low", "resolved"),
        (10.0, "budget_spent", "resolved"),
    )
    for usd, kind, status in levels:
        await runtime.budgets.set(ADMIN, "home", usd)
        container.alerts.watcher.wake()
        alert = await alert_of(runtime, kind, status=status)
        assert (alert.path, alert.count) == ("/console/usage", 1)


@pytest.mark.requirement("alerts:home")
async def test_a_dead_account_is_told_until_it_works_again(runtime: Runtime) -> None:
    watcher = runtime._container.alerts.watcher  # pyright: ignore[reportPrivateUsage]
    watcher.connection_state("local", "stripe", healthy=False)
    lost = await alert_of(runtime, "connection_lost")
    assert (lost.path, "stripe" in lost.title) == ("/console/integrations/stripe", True)
    watcher.connection_state("local", "stripe", healthy=True)
    await alert_of(runtime, "connection_lost", status="resolved")

    # It works again before anybody has been told.
    watcher.connection_state("local", "stripe", healthy=False)
    watcher.connection_state("local", "stripe", healthy=True)

    async def told_again() -> bool:
        again = await alert_of(runtime, "connection_lost", status="resolved")
        return again.first_at > lost.first_at

    await until_async(told_again, "an alert that was over at once")


@pytest.mark.requirement("alerts:chats")
async def test_an_alert_that_opens_is_announced_once_to_its_owner(runtime: Runtime) -> None:
    heard: list[tuple[str, str]] = []
    stop = runtime.announcements.listen_to_alerts(lambda owner, alert: heard.append((owner, alert.title)))
    watcher = runtime._container.alerts.watcher  # pyright: ignore[reportPrivateUsage]
    for app in ("asana", "asana", "trello"):
        watcher.connection_state("local", app, healthy=False)
        await alert_of(runtime, "connection_lost", title=f"The account of “{app}” lost its access")
    await until_async(lambda: _at_least(heard, 2), "two announcements")
    stop()
    assert [owner for owner, _ in heard] == ["local", "local"]
    assert len({title for _, title in heard}) == 2
    for app in ("asana", "trello"):
        watcher.connection_state("local", app, healthy=True)


async def _at_least(heard: list[tuple[str, str]], count: int) -> bool:
    return len(heard) >= count


@pytest.mark.requirement("alerts:home")
async def test_a_disk_that_is_nearly_full_is_told_until_it_is_not(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, disk_warning=1 << 60) as runtime:
        alert = await alert_of(runtime, "disk_low")
    async with open_runtime(home) as runtime:
        assert (await alert_of(runtime, "disk_low", status="resolved")).id == alert.id
        assert await runtime.alerts.list(ADMIN) == []


@pytest.mark.requirement("alerts:home")
async def test_memory_that_is_nearly_full_is_told_until_it_is_not(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    async with open_runtime(home, memory_reserve=1 << 60) as runtime:
        alert = await alert_of(runtime, "memory_low")
        assert "CODEWORDS_MEMORY_RESERVE" in alert.message
    async with open_runtime(home, memory_reserve=1) as runtime:
        assert (await alert_of(runtime, "memory_low", status="resolved")).id == alert.id


@pytest.mark.requirement("alerts:keys")
async def test_a_key_that_expires_soon_is_told_until_it_is_revoked(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")

    def age(connection: Connection) -> None:
        connection.execute(update(keys).values(created_at=keys.c.created_at - 30 * DAY))

    async with open_runtime(home) as runtime:
        _, soon = await runtime.keys.create(ADMIN, expires_in=3 * 86_400)
        await runtime.keys.create(ADMIN, expires_in=20 * 86_400)
        await runtime.keys.create(ADMIN, expires_in=3 * 86_400, one_time=True)
        await runtime._container.database.write(age)  # pyright: ignore[reportPrivateUsage]
        await runtime.keys.create(ADMIN, expires_in=3600)
    async with open_runtime(home) as runtime:
        alert = await alert_of(runtime, "key_expiring")
        assert (soon.prefix in alert.title, alert.path) == (True, "/console/members")
        told = await runtime.alerts.list(ADMIN)
        assert [found.kind for found in told] == ["key_expiring"]
        await runtime.keys.revoke(ADMIN, soon.id)
    async with open_runtime(home) as runtime:
        await alert_of(runtime, "key_expiring", status="resolved")


@pytest.mark.requirement("alerts:secrets")
async def test_a_secret_that_expires_soon_is_told_until_another_value_is_stored(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    soon, later = (datetime.now(UTC) + timedelta(days=days) for days in (3, 20))

    def age(connection: Connection) -> None:
        connection.execute(update(secrets).values(updated_at=secrets.c.updated_at - 30 * DAY))

    async with open_runtime(home) as runtime:
        for name, end in (("SOON", soon), ("LATER", later), ("WITHOUT", None)):
            stored = await runtime.secrets.set(ADMIN, name, "a value", plain=True, expires_at=end)
            assert stored.expires_at == end
        await runtime._container.database.write(age)  # pyright: ignore[reportPrivateUsage]
        await runtime.secrets.set(
            ADMIN, "SHORT", "a value", expires_at=datetime.now(UTC) + timedelta(hours=1)
        )
        for end in (datetime.now(UTC) - timedelta(days=1), datetime(2099, 1, 1)):  # noqa: DTZ001
            with pytest.raises(InvalidInput, match="expires_at"):
                await runtime.secrets.set(ADMIN, "WRONG", "a value", expires_at=end)
    async with open_runtime(home) as runtime:
        alert = await alert_of(runtime, "secret_expiring")
        assert (alert.title, alert.path) == ("The secret SOON expires", "/console/secrets")
        assert f"{soon:%Y-%m-%d %H:%M} UTC" in alert.message
        assert [found.kind for found in await runtime.alerts.list(ADMIN)] == ["secret_expiring"]
        again = await runtime.secrets.set(ADMIN, "SOON", "another value")
        assert again.expires_at is None
    async with open_runtime(home) as runtime:
        await alert_of(runtime, "secret_expiring", status="resolved")


@pytest.mark.requirement("alerts:home", "alerts:shown")
def test_a_killed_runtime_says_so_once_with_the_scheduled_run_that_it_took_along(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    with start_runtime(home) as served:
        slow = served.deploy(SLOW, "Slow")
        soon = (datetime.now(UTC) + timedelta(seconds=1.5)).isoformat()
        served.call("POST", "/schedules", {"service_id": slow, "at": soon, "input": {}})
        until(lambda: served.call("GET", "/runs?status=running")["items"])
        served.kill()

    with start_runtime(home) as served:
        alerts = until(lambda: _both(served.call("GET", "/alerts")["items"]))
        assert "interrupted" in alerts["runtime_restarted"]["message"]
        failed = alerts["run_failed"]
        assert failed["path"] == f"/console/runs/{failed['run_id']}"
        served.call("POST", f"/alerts/{failed['id']}/acknowledge")
        served.call("POST", f"/alerts/{alerts['runtime_restarted']['id']}/dismiss")

    with start_runtime(home) as served:
        left = served.call("GET", "/alerts")["items"]
        assert [(alert["kind"], alert["status"]) for alert in left] == [("run_failed", "acknowledged")]


@pytest.mark.requirement("alerts:home")
def test_a_runtime_that_is_killed_again_and_again_is_one_alert_that_counts(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    for _ in range(3):
        with start_runtime(home) as served:
            served.kill()

    with start_runtime(home) as served:

        def restarted() -> dict[str, Any] | None:
            items: list[dict[str, Any]] = served.call("GET", "/alerts")["items"]
            return next(
                (alert for alert in items if alert["kind"] == "runtime_restarted" and alert["count"] == 3),
                None,
            )

        until(restarted)
        assert len(served.call("GET", "/alerts")["items"]) == 1


def _both(items: list[dict[str, str]]) -> dict[str, dict[str, str]]:
    found = {item["kind"]: item for item in items}
    return found if {"runtime_restarted", "run_failed"} <= set(found) else {}
