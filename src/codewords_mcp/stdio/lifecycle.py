"""Find a home's runtime or start it, and end it."""

from __future__ import annotations

import sys
import time

from codewords_mcp.stdio import home as homes

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


def ensure(home: str, *, say: homes.Say | None = None, timeout: float = START_TIMEOUT) -> homes.RuntimeInfo:
    """The home's runtime, started if there is none; of many that ask at once, one starts it.

    `say` gets progress a person can read. Waits at most `timeout` seconds.
    Raises StorageFailed for a home that cannot be written, RuntimeUnavailable where none came to answer.
    """
    found = homes.find(home)
    if found is not None:
        return found
    if sys.platform == "win32":
        from codewords_mcp.errors import RuntimeUnavailable

        raise RuntimeUnavailable(
            "A runtime needs Linux or macOS, and this is Windows.",
            hint="Install codewords-mcp in WSL2, or set CODEWORDS_RUNTIME_URL to a runtime elsewhere.",
        )

    # Imported here, since a proxy that finds a running runtime never needs it.
    from codewords_mcp.stdio import spawn

    return spawn.start(home, say or _silent, time.monotonic() + timeout)


def stop(home: str, *, timeout: float = STOP_TIMEOUT, only_idle: bool = False) -> homes.RuntimeInfo | None:
    """End the home's runtime in order and wait until it is gone; what it was, None if there was none.

    With `only_idle` a runtime that has runs active goes on, and Conflict is raised.
    Raises RuntimeUnavailable where it has not ended after `timeout` seconds.
    """
    from codewords_mcp.stdio import spawn

    return spawn.stop(home, time.monotonic() + timeout, only_idle=only_idle)


def _silent(_: str) -> None:
    """Progress where nobody listens."""
