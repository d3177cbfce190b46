"""Receivers of the audit trail that stay away: told in the inbox and by doctor until they are back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update
from tests.integration.audit.helpers import SECRET, Receiver, add, forwarder
from tests.support.runtime import ADMIN, make_home, open_runtime
from tests.support.waiting import until_async

from codewords_mcp.cli.doctor.configured import configured_findings
from codewords_mcp.runtime.alerts.audit_receivers import update_receivers
from codewords_mcp.runtime.alerts.conditions import DISK_INTERVAL
from codewords_mcp.runtime.store import alerts, audit_cursors, tables
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import Web

pytestmark = pytest.mark.anyio


@pytest.mark.requirement("audit:receiver-away")
async def test_a_receiver_that_stays_away_is_an_alert_until_it_is_back(
    database: Database, web: Web, receiver: Receiver
) -> None:
    receiver.answers = [503, 503]
    sends = forwarder(database, web, receiver, first_pause=0.0)
    await add(database, 3)
    await sends.poll()

    async def update(away_after: float) -> bool:
        return await database.write(update_receivers, ("webhook",), away_after)

    assert not await update(300.0), "it was reached a moment ago"
    assert await update(0.0)
    [alert] = await database.read(lambda connection: connection.execute(select(tables.alerts)).all())
    assert (alert.owner, alert.kind) == ("local", "audit_unsent")
    assert "3 entries wait" in alert.message
    assert "answered 503" in alert.message
    await sends.poll()
    assert not await update(0.0), "a state is told once"

    await sends.poll()
    assert await database.read(audit_cursors.read, "webhook") == audit_cursors.AuditCursor(3, 3)
    assert await update(0.0)
    assert await database.read(alerts.unresolved_of, ("audit_unsent",)) == []


@pytest.mark.requirement("audit:receiver-away")
async def test_a_receiver_that_is_configured_no_more_has_no_alert(
    database: Database, web: Web, receiver: Receiver
) -> None:
    receiver.answers = [503]
    await add(database, 1)
    await forwarder(database, web, receiver).poll()
    assert await database.write(update_receivers, ("webhook",), 0.0)
    assert await database.write(update_receivers, (), 0.0)
    assert await database.read(alerts.unresolved_of, ("audit_unsent",)) == []


@pytest.mark.requirement("audit:receiver-away")
async def test_the_inbox_and_doctor_tell_of_a_receiver_that_stays_away(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answers = [503] * 1000
    home = make_home(tmp_path / "home")
    async with open_runtime(home, audit_webhook=receiver.url) as runtime:
        await runtime.secrets.set(ADMIN, "AUDIT_WEBHOOK_SECRET", SECRET)

        async def problem() -> str:
            [found] = (await runtime.status.describe(ADMIN))["audit_receivers"]
            return found["problem"]

        await until_async(problem, "a try")
        [finding] = configured_findings(await runtime.status.describe(ADMIN))
        assert (finding.id, finding.status) == ("audit", "warning")
        assert "answered 503" in finding.detail

        # As if it had been away for five minutes.
        container = runtime._container  # pyright: ignore[reportPrivateUsage]
        await container.database.write(_fail_since_yesterday, container.executor)
        container.alerts.watcher._conditions._disk_checked -= DISK_INTERVAL  # pyright: ignore[reportPrivateUsage]
        container.alerts.watcher.wake()

        async def told() -> bool:
            return [alert.kind for alert in await runtime.alerts.list(ADMIN)] == ["audit_unsent"]

        await until_async(told, "the alert")
        receiver.answers = []
        for loop in container.audit_forwarders:
            loop.wake()

        async def sent() -> bool:
            return not await problem()

        await until_async(sent, "the receiver to take what waits")
        [finding] = configured_findings(await runtime.status.describe(ADMIN))
        assert finding.status == "ok"


def _fail_since_yesterday(connection: Connection, executor: str) -> None:
    """Note the receiver's failure as one that has lasted for a day."""
    stored = {
        "seq": 0,
        "holder": executor,
        "until": 0,
        "problem": "answered 503",
        "failing_since": now() - 86_400_000_000,
    }
    connection.execute(
        update(tables.meta).where(tables.meta.c.name == "audit_sent_webhook").values(value=json.dumps(stored))
    )
