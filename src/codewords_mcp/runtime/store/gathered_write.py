"""A write that waits to share a transaction with others, and the future that ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from sqlalchemy import Connection

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class GatheredWrite:
    """`fn` makes the write. `done` ends with the commit or the error. `keep`: it is retried until the store accepts it."""

    fn: Callable[[Connection], object]
    done: asyncio.Future[None]
    keep: bool


Outcome = tuple[asyncio.Future[None], Exception | None]
"""The future of a write, and its error."""


def gathered(fn: Callable[[Connection], object], *, keep: bool) -> GatheredWrite:
    """A write whose error is logged, since nobody need await it."""
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    done.add_done_callback(_log_lost)
    return GatheredWrite(fn, done, keep)


def settle(outcomes: list[Outcome]) -> None:
    """End the futures of writes that were made or have failed."""
    for done, error in outcomes:
        if done.cancelled():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _log_lost(done: asyncio.Future[None]) -> None:
    if not done.cancelled() and (error := done.exception()):
        log.error("write lost", reason=str(error))
