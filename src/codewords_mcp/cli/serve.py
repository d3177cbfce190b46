"""The runtime's process: holds the home, opens the runtime, serves both doors, ends in order.

The composition root of the runtime, with `_lifecycle`. Heavy parts are imported once the home is ours and the
port is bound, so that a refusal comes at once.

Exit codes: 0 ended in order, 2 the address cannot be bound, 3 the home or the runtime is not usable,
130 ended at once by a second Ctrl-C.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from codewords_mcp.cli._address import RuntimeListener, listen, url_of
from codewords_mcp.cli._starter import Starter
from codewords_mcp.cli.hosts.session_service import load_variables
from codewords_mcp.common.frozen_imports import loading, without_model_plugins
from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.stdio import home
from codewords_mcp.stdio.home_lock import HomeLock, HomeLocked

if TYPE_CHECKING:
    from pathlib import Path

    from codewords_mcp.runtime.model.availability import StartedBy
    from codewords_mcp.settings import Settings

_WAIT_FOR_HOME = 1.0
"""Seconds between two looks at a home that another runtime holds."""
OK, USAGE, PLATFORM = 0, 2, 3


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    detached: bool = False,
    service: bool = False,
    read_only: bool = False,
    toolsets: str | None = None,
) -> int:
    """Be the home's runtime until told to end; the exit code. Says what is wrong on stderr.

    `detached`: started by a chat or a command; takes another port where the home's is taken, ends when idle.
    `service`: started by a service manager; waits while another runtime holds the home.
    """
    starter = Starter()
    without_model_plugins()
    try:
        started_by = _started_by(detached=detached, service=service)
        if service:
            # Before the settings, which are read from the environment.
            load_variables(home.home_folder())
        settings = _settings(
            host, port, detached=detached, narrowed=_narrowed(read_only=read_only, toolsets=toolsets)
        )
        _configure_log(settings)
        if service:
            hold = _hold_when_free(settings.home)
        else:
            hold = HomeLock(str(settings.home))

        try:
            # After the lock: of two starts of one home, the second must not take a port.
            listener = listen(settings, any_port=detached)
            with listener.socket:
                return _run(settings, hold, listener, starter, started_by)
        finally:
            hold.release()
    except CodewordsError as error:
        starter.failed(str(error))
        sys.stderr.write(f"codewords-mcp serve: {error}\n")
        if isinstance(error, InvalidInput):
            return USAGE

        return PLATFORM
    except Exception as error:
        # Raised again: the traceback belongs into the log.
        starter.failed(f"an internal error, {type(error).__name__}: {error}")
        raise


def _narrowed(*, read_only: bool, toolsets: str | None) -> dict[str, object]:
    """Settings that flags narrow; a flag can't widen what the environment says. Raises InvalidInput."""
    overrides: dict[str, object] = {"read_only": True} if read_only else {}
    if toolsets is None:
        return overrides
    from codewords_mcp.mcp_server.toolsets import parse_toolsets

    return overrides | {"toolsets": sorted(parse_toolsets(toolsets))}


def _settings(host: str | None, port: int | None, *, detached: bool, narrowed: dict[str, object]) -> Settings:
    """Raises InvalidInput."""
    from codewords_mcp.cli._connect import read_settings

    overrides: dict[str, object | None] = {"host": host, "port": port, **narrowed}
    settings = read_settings().model_copy(
        update={name: value for name, value in overrides.items() if value is not None}
    )

    if detached:
        # Not to stand in the way of the folder that a chat host was started in being removed.
        settings = settings.model_copy(update={"home": settings.home.absolute()})
        os.chdir("/")

    return settings


def _configure_log(settings: Settings) -> None:
    from codewords_mcp.logging import configure, guard

    # Also for tracebacks and warnings, which the interpreter and libraries print there.
    sys.stderr = guard(sys.stderr)
    configure(settings.log_level)


def _started_by(*, detached: bool, service: bool) -> StartedBy:
    if detached or service:
        if detached:
            return "detached"
        return "service"
    if os.isatty(0):
        return "terminal"
    return "supervisor"


def _hold_when_free(folder: Path) -> HomeLock:
    """Wait for a runtime that a chat or command started before, instead of failing again and again beside it."""
    while True:
        try:
            return HomeLock(str(folder))
        except HomeLocked as error:
            sys.stderr.write(f"codewords-mcp serve: waiting: {error.message}\n")
        # Looks at the lock without taking it, so that an ending runtime isn't disturbed.
        while home.holder(str(folder)) is not None:
            time.sleep(_WAIT_FOR_HOME)


def _run(
    settings: Settings, hold: HomeLock, listener: RuntimeListener, starter: Starter, started_by: StartedBy
) -> int:
    """Raises what opening the runtime raises."""
    with loading():
        from codewords_mcp.cli._lifecycle import Lifecycle

    # the event loop must not wait 5 ms for its turn when the store's threads are busy
    sys.setswitchinterval(0.0005)
    return Lifecycle(settings, hold, listener, url_of(listener, settings.host), starter, started_by).run()
