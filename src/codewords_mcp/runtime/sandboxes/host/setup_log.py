"""The log of sandboxes that could not be made: an error, but for those of a self-test, whose failure is its finding."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

logger = structlog.get_logger(__name__)
_expected: ContextVar[bool] = ContextVar("expected", default=False)


@contextmanager
def expect_failures() -> Generator[None]:
    """Log failed set-ups as details while the block runs, also those of tasks that it starts.

    A driver's self-test tries what many machines do not allow. The next driver is tried then.
    """
    token = _expected.set(True)
    try:
        yield
    finally:
        _expected.reset(token)


def setup_failed(*, exc_info: bool = False, **fields: object) -> None:
    """Log that a sandbox could not be made."""
    if _expected.get():
        logger.debug("sandbox setup failed in a self-test", exc_info=exc_info, **fields)
    else:
        logger.error("sandbox setup failed", exc_info=exc_info, **fields)
