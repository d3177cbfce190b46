"""Upkeep of an open home: recovery at the start, then removal of what is past its time."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.audit.trail import prune_audit
from codewords_mcp.runtime.store import alerts as alert_rows
from codewords_mcp.runtime.store import links as link_rows
from codewords_mcp.runtime.store import replays as replay_rows
from codewords_mcp.runtime.store import retention, service_values
from codewords_mcp.runtime.store import tasks as task_rows
from codewords_mcp.runtime.store import webhooks as webhook_rows
from codewords_mcp.runtime.store import workflows as workflow_rows
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.settings import Settings

INTERVAL = 600.0
"""Seconds between removals of what is past its time."""
ROUND_SHARE = 0.9
"""Share of the interval within which no second replica removes runs: their rounds drift."""
log = structlog.get_logger(__name__)


async def maintain(container: Container, settings: Settings) -> None:
    """Open the driver and recover waiting runs at once; then remove expired data at an interval."""
    # Opened now, so that the first run doesn't wait for the driver's self-test. A failure is
    # reported by readiness and by each run.
    with suppress(CodewordsError):
        await container.driver()
    try:
        await container.dispatcher.background.recover()
    except CodewordsError as error:
        # The loop must go on: the next restart recovers the runs.
        log.error("waiting runs are not gone on with", reason=error.message)

    while True:
        try:
            await tidy(container, settings)
        except CodewordsError as error:
            log.warning("housekeeping failed", reason=error.message)

        await asyncio.sleep(INTERVAL)


async def tidy(container: Container, settings: Settings) -> None:
    """Remove runs, files and environments past their time."""
    if await container.database.write(retention.begin_round, INTERVAL * ROUND_SHARE):
        await retention.prune(container.database, settings)
    await container.recordings.prune()
    at = now()
    await container.write_lists.prune(at - int(settings.recording_ttl * 1e6))
    await container.database.write(replay_rows.purge, at - int(settings.recording_ttl * 1e6))
    await container.database.write(service_values.purge, at)
    await container.database.write(link_rows.purge)
    await container.database.write(webhook_rows.purge, at - int(settings.webhook_ttl * 1e6))
    await container.database.write(alert_rows.purge, at - int(settings.alert_ttl * 1e6))
    await container.database.write(task_rows.purge, at)
    await prune_audit(container.database, at - int(settings.audit_ttl * 1e6))
    await container.logins.tidy()
    await container.drafts.purge()
    await container.dispatcher.background.tidy()
    await container.gateway.tidy()
    if container.price_feed is not None:
        await container.price_feed.look()
    await container.files.expire()
    version_count = settings.environment_versions
    in_use = await container.database.read(workflow_rows.environments_in_use, version_count)
    await container.environments.collect(in_use, settings.environment_ttl)
