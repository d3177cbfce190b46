"""A workflow that fails as it is told, and alerts as soon as they are there."""

from __future__ import annotations

from typing import Any

from tests.integration.runtime.helpers import come, started
from tests.support.runtime import ADMIN, finished, workflow
from tests.support.waiting import until_async

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.alert import Alert, AlertKind
from codewords_mcp.runtime.model.run import Run
from codewords_mcp.runtime.model.schedule import Schedule, ScheduleRequest

FAILS = workflow(
    """
from fastapi import HTTPException

@app.post("/")
async def fails(request: Request):
    asked = await request.json()
    status = asked.get("status", 200)
    if asked.get("raises"):
        raise LookupError("no order " + asked["raises"])
    if status != 200:
        raise HTTPException(status)
    return {"ok": True}
""",
    title="Fails",
)


async def scheduled(runtime: Runtime, service: str, status: int = 500, **more: Any) -> Schedule:
    """A schedule whose runs end with this status."""
    asked: dict[str, Any] = {"cron": "0 0 1 1 *", "input": {"status": status}, "name": "nightly"} | more
    return await runtime.schedules.create(ADMIN, ScheduleRequest(service_id=service, **asked))


async def tick(runtime: Runtime, schedule: Schedule) -> Run:
    """The schedule's time comes; the run that it starts, once it has ended."""
    before = (await runtime.schedules.get(ADMIN, schedule.id)).last_run_id
    await come(runtime, schedule)
    return await finished(runtime, await started(runtime, schedule, after=before))


async def alert_of(
    runtime: Runtime, kind: AlertKind, *, status: str = "open", count: int = 1, **fields: Any
) -> Alert:
    """An alert, as soon as it is so."""

    async def read() -> Alert | None:
        found = await runtime.alerts.list(ADMIN, unresolved=False)
        return next(
            (
                alert
                for alert in found
                if (alert.kind, alert.status) == (kind, status)
                and alert.count >= count
                and all(getattr(alert, name) == value for name, value in fields.items())
            ),
            None,
        )

    found = await until_async(read, f"an alert {kind} that is {status}")
    assert found is not None
    return found
