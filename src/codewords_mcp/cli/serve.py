"""The runtime's process: holds the home, opens the runtime, serves both doors, ends in order.

The composition root of the runtime, with `_lifecycle`. Heavy parts are imported once the home is ours and the
port is bound, so that a refusal comes at once.

Exit codes: 0 ended in order, 2 the address cannot be bound, 3 the home or the runtime is not usable,
130 ended at once by a second Ctrl-C.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from codewords_mcp._hold import Hold
from codewords_mcp._loading import loading
from codewords_mcp.cli._starter import Starter
from codewords_mcp.errors import CodewordsError, InvalidInput

if TYPE_CHECKING:
    from codewords_mcp.settings import Settings

OK, USAGE, PLATFORM = 0, 2, 3


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    detached: bool = False,
    read_only: bool = False,
    toolsets: str | None = None,
) -> int:
    """Be the home's runtime until told to end; the exit code. Says what is wrong on stderr.

    `detached`: started by a front; takes a free port where the usual one is taken, ends when idle.
    """
    starter = Starter()
    try:
        settings = _settings(
            host, port, detached=detached, narrowed=_narrowed(read_only=read_only, toolsets=toolsets)
        )
        _configure_log(settings)
        hold = Hold(str(settings.home))
        try:
            with bind(settings, any_port=detached) as listener:
                return _run(settings, hold, listener, starter, detached=detached)
        finally:
            hold.release()
    except CodewordsError as error:
        starter.failed(str(error))
        sys.stderr.write(f"codewords-mcp serve: {error}\n")
        return USAGE if isinstance(error, InvalidInput) else PLATFORM
    except Exception as error:
        starter.failed(f"an internal error, {type(error).__name__}: {error}")
        raise


def _narrowed(*, read_only: bool, toolsets: str | None) -> dict[str, object]:
    """Settings that flags narrow; a flag can't widen what the environment says. Raises InvalidInput."""
    given: dict[str, object] = {"read_only": True} if read_only else {}
    if toolsets is None:
        return given
    from codewords_mcp.door.access import parse_toolsets

    return given | {"toolsets": sorted(parse_toolsets(toolsets))}


def _settings(host: str | None, port: int | None, *, detached: bool, narrowed: dict[str, object]) -> Settings:
    """Raises InvalidInput."""
    from codewords_mcp.cli._connect import read_settings

    given: dict[str, object | None] = {"host": host, "port": port, **narrowed}
    settings = read_settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    if detached:
        # Not to stand in the way of the folder that a chat host was started in being removed.
        settings = settings.model_copy(update={"home": settings.home.absolute()})
        os.chdir("/")
    return settings


def bind(settings: Settings, *, any_port: bool) -> socket.socket:
    """A listening socket. With `any_port` a free port stands in for a taken one.

    Raises InvalidInput for an address that is taken, is not ours, or is not loopback while no key is configured.
    """
    host, port = settings.host, settings.port
    if not _is_loopback(host) and not settings.api_key:
        raise InvalidInput(
            f"Binding {host} lets other machines in, and no key is configured.",
            hint="Set CODEWORDS_API_KEY to a key of your own, or leave the host at 127.0.0.1.",
        )
    try:
        return _listen(host, port)
    except OSError as error:
        if any_port and error.errno == errno.EADDRINUSE:
            return _listen(host, 0)
        raise _cannot_bind(host, port, error) from error


def _cannot_bind(host: str, port: int, error: OSError) -> InvalidInput:
    if error.errno == errno.EADDRINUSE:
        return InvalidInput(
            f"{host} port {port} cannot be bound: another program has it.",
            hint="Give another with --port (0 takes a free one).",
        )
    return InvalidInput(
        f"{host} port {port} cannot be bound: {(error.strerror or str(error)).lower()}.",
        hint="Give another with --host or --port.",
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=2048)


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def url_of(listener: socket.socket, host: str) -> str:
    """How this machine reaches a listening socket."""
    port = listener.getsockname()[1]
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _configure_log(settings: Settings) -> None:
    from codewords_mcp.logging import configure

    configure(settings.log_level)


def _run(settings: Settings, hold: Hold, listener: socket.socket, starter: Starter, *, detached: bool) -> int:
    """Raises what opening the runtime raises."""
    with loading():
        from codewords_mcp.cli._lifecycle import Lifecycle

    _raise_descriptor_limit()
    # the event loop must not wait 5 ms for its turn when the store's threads are busy
    sys.setswitchinterval(0.0005)
    return Lifecycle(
        settings, hold, listener, url_of(listener, settings.host), starter, detached=detached
    ).run()


def _raise_descriptor_limit() -> None:
    """Each relayed connection of a sandbox takes two descriptors, and shells start programs with a soft limit of 1024."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
