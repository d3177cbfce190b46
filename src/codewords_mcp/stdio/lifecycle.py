"""Find a home's runtime or start it, and end it."""

from __future__ import annotations

import os
import sys
import time

from codewords_mcp.stdio import home as homes
from codewords_mcp.stdio import runtime_choice

START_TIMEOUT = 60.0
STOP_TIMEOUT = 30.0


def ensure(home: str, *, say: homes.Say | None = None, timeout: float = START_TIMEOUT) -> homes.RuntimeInfo:
    """The home's runtime, started if there is none; of many that ask at once, one starts it.

    `say` gets progress a person can read. Waits at most `timeout` seconds, longer for a container.
    Raises StorageFailed for a home that cannot be written, RuntimeUnavailable where none came to answer.
    """
    choice = runtime_choice.read(home)
    if choice.kind == runtime_choice.CONTAINER:
        from codewords_mcp.stdio import containers

        # Asked of the engine also where the port answers: another program may have taken it.
        deadline = time.monotonic() + max(timeout, containers.START_TIMEOUT)
        return containers.ensure(home, say or _silent, deadline)

    found = homes.find_local(home)
    if found is not None:
        return found
    if sys.platform == "win32":
        from codewords_mcp.errors import RuntimeUnavailable

        raise RuntimeUnavailable(
            "A runtime needs Linux or macOS, and this is Windows.",
            hint="`codewords-mcp install --runtime container` runs it in a container, `--runtime URL` uses one elsewhere.",
        )

    if choice.kind == runtime_choice.E2B:
        # What the runtime is started with, unless the environment says otherwise.
        os.environ.setdefault("CODEWORDS_SANDBOX", "e2b")

    # Imported here, since a proxy that finds a running runtime never needs it.
    from codewords_mcp.stdio import spawn

    return spawn.start(home, say or _silent, time.monotonic() + timeout)


def stop(home: str, *, timeout: float = STOP_TIMEOUT, only_idle: bool = False) -> homes.RuntimeInfo | None:
    """End the home's runtime in order and wait until it is gone; what it was, None if there was none.

    With `only_idle` a runtime that has runs active goes on, and Conflict is raised.
    Raises RuntimeUnavailable where it has not ended after `timeout` seconds.
    """
    if runtime_choice.read(home).kind == runtime_choice.CONTAINER:
        from codewords_mcp.stdio import containers

        return containers.stop(home, only_idle=only_idle)

    from codewords_mcp.stdio import spawn

    return spawn.stop(home, time.monotonic() + timeout, only_idle=only_idle)


def _silent(_: str) -> None:
    """Progress where nobody listens."""
