"""Opens and closes a home: the container of its parts, its replica and its triggers, in the order that loses nothing."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import structlog

from codewords_mcp.errors import CodewordsError, StorageFailed
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.api.home_store import close_store, open_store
from codewords_mcp.runtime.model.availability import Hosting
from codewords_mcp.runtime.sandboxes.drivers import OpenDriver, open_driver
from codewords_mcp.runtime.store.database_errors import storage_error
from codewords_mcp.settings import Settings

FILES_STORED_WITHIN = 5.0
"""Seconds that binary answers may still be stored when the container closes."""
DRAIN = 5.0
"""Seconds that runs may go on when the container closes, at the most, before they are cancelled."""
log = structlog.get_logger(__name__)


async def open_container(
    settings: Settings, hosting: Hosting, open_driver: OpenDriver = open_driver
) -> Container:
    """Open the home and start its triggers. Raises StorageFailed, InvalidInput."""
    container = await asyncio.to_thread(_open_blocking, settings, hosting, open_driver)
    if container.replica is not None:
        try:
            await container.secrets.join(container.keys, container.executor, settings.replica_ttl)
            await container.replica.open()
        # Also where the start is cancelled: its connections would stay open at the server.
        except BaseException:
            database = container.database
            await database.drained()
            await asyncio.to_thread(database.close)
            raise

    container.trigger_loops.start()
    return container


def _open_blocking(settings: Settings, hosting: Hosting, open_driver: OpenDriver) -> Container:
    database = open_store(settings)
    try:
        return Container(settings, database, hosting, open_driver)
    except OSError as error:
        database.close()
        raise storage_error(error, settings.home) from error
    except CodewordsError:
        database.close()
        raise


async def drain_container(container: Container) -> None:
    """Stop the triggers and the background queue, and release runs that have not started. Idempotent.

    Running runs go on, and requests are still answered.
    """
    await container.trigger_loops.close()
    container.waits.drain()
    await container.dispatcher.background.drain()


async def close_container(container: Container) -> None:
    """Cancel every run, release every sandbox, write pending records, and close the database."""
    began = time.monotonic()
    driver = container.opened_driver
    # The order matters: first nothing new starts, then runs end, then what they used, and
    # the database last, so that every record of an end is written.
    steps = [
        container.readiness.close,
        partial(drain_container, container),
        partial(container.dispatcher.close, min(DRAIN, container.settings.drain_timeout)),
        partial(container.response_files.close, FILES_STORED_WITHIN),
        container.stored_data.close,
        container.databases.close,
        container.slots.close,
        *([container.replica.close] if container.replica is not None else []),
        container.gateway.close,
        container.integrations.close,
        container.web.close,
        container.supply.close,
        container.browsers.close,
        container.chromes.close,
        *([driver.close] if driver is not None else []),
        container.environments.close,
        container.database.drained,
        partial(close_store, container.database),
    ]

    for step in steps:
        try:
            await step()
        except StorageFailed as error:  # a store that takes nothing must not keep sandboxes alive
            log.warning("not written at the end", reason=error.message)

    await asyncio.to_thread(container.database.close)
    log.debug("container closed", seconds=round(time.monotonic() - began, 2))
