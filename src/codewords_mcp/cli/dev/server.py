"""The HTTP server of the local address."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any, Final

import uvicorn

_HANG_UP: Final = 1
"""Seconds that open answers get at the end."""


class LocalServer(uvicorn.Server):
    """uvicorn that leaves the signals to the command, and says nothing."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app, lifespan="off", log_config=None, access_log=False, ws="websockets-sansio",
                timeout_graceful_shutdown=_HANG_UP, date_header=False, server_header=False,
            )
        )  # fmt: skip

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:  # pyright: ignore[reportDeprecated]
        """Leave the handlers as they are."""
        yield
