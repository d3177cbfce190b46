"""The address of a home: its port is kept in the home, so that addresses given out survive a restart.

`port.json` holds the home's own port and, where another program had that port once, the substitute that was used.
A detached start takes the substitute again before it looks for another; it never replaces the home's own port.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codewords_mcp.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codewords_mcp.settings import Settings

FILE = "port.json"
_NEARBY = range(8766, 8866)
"""Ports for homes that don't get the default: below the range that outgoing connections take theirs from."""


@dataclass(frozen=True, slots=True)
class HomePorts:
    """The ports of a home, as `port.json` keeps them. None: it has none yet."""

    own: int | None = None
    substitute: int | None = None


@dataclass(frozen=True, slots=True)
class RuntimeListener:
    """A listening socket. `missed_port` is the home's own port where another program has it, else None."""

    socket: socket.socket
    missed_port: int | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.socket.getsockname()[1])


def read_ports(home: Path) -> HomePorts:
    """Return the stored ports; none if the file is absent or invalid."""
    try:
        stored_ports: dict[str, Any] = json.loads((home / FILE).read_text(encoding="utf-8"))
        return HomePorts(_port(stored_ports.get("own")), _port(stored_ports.get("substitute")))
    except (OSError, ValueError, AttributeError):
        return HomePorts()


def _port(value: object) -> int | None:
    # `type`, since true is an int for isinstance. A file that was edited by hand must not break
    # the start.
    if type(value) is int and 0 < value < 65536:
        return value
    return None


def _write_ports(home: Path, ports: HomePorts) -> None:
    """Store the ports. Errors are ignored: the code that opens the home reports a home that can't be written."""
    fresh = home / f"{FILE}.{os.getpid()}"
    with suppress(OSError):
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"own": ports.own, "substitute": ports.substitute}, file)
        # In one step: another process may read it at this moment.
        fresh.replace(home / FILE)


def listen(settings: Settings, *, any_port: bool) -> RuntimeListener:
    """Bind the home's port and keep it. With `any_port` another port stands in for one that is taken.

    Port 0 takes the kept port, else a free one. Raises InvalidInput for an address that is taken, is not ours, or is
    not loopback while no key is configured.
    """
    host = settings.host
    # The key in the home's file protects it as well, but somebody who opens the port to a
    # network has to decide on the key themselves.
    if not is_loopback(host) and not settings.api_key:
        raise InvalidInput(
            f"Binding {host} lets other machines in, and no key is configured.",
            hint="Set CODEWORDS_API_KEY to a key of your own, or leave the host at 127.0.0.1.",
        )

    stored_ports = read_ports(settings.home)
    # Only a port that was set counts: the default must not override the home's own.
    if "port" in settings.model_fields_set:
        configured_port = settings.port
    else:
        configured_port = None

    port_to_bind = configured_port or stored_ports.own or (0 if configured_port == 0 else settings.port)
    try:
        listener = RuntimeListener(_bind(host, port_to_bind))
    except OSError as error:
        # A person at a terminal, and a service manager, get an error instead of a moved
        # address.
        if error.errno != errno.EADDRINUSE or not (any_port or configured_port == 0):
            raise _cannot_bind(
                host,
                port_to_bind,
                error,
                stored_ports=configured_port is None and stored_ports.own is not None,
            ) from error
        listener = _bind_another(host, port_to_bind, stored_ports)

    _keep(settings.home, stored_ports, listener)
    return listener


def _bind_another(host: str, port_to_bind: int, stored_ports: HomePorts) -> RuntimeListener:
    """Bind another port. `port_to_bind` counts as missed only if addresses with it may be in use."""
    # A home without a port of its own has given no address out yet.
    promised = port_to_bind if stored_ports.own is not None else None
    # The substitute of last time first: addresses with it may be in use as well.
    candidates: Iterable[int] = [*([stored_ports.substitute] if stored_ports.substitute else []), *_NEARBY, 0]
    for port in candidates:
        with suppress(OSError):
            return RuntimeListener(_bind(host, port), promised)
    raise InvalidInput(f"{host} has no free port.", hint="End a program that listens there.")


def _keep(home: Path, stored_ports: HomePorts, listener: RuntimeListener) -> None:
    on_own_port = listener.missed_port is None
    if on_own_port:
        ports = HomePorts(listener.port, stored_ports.substitute)
    else:
        ports = HomePorts(stored_ports.own, listener.port)
    if ports != stored_ports:
        _write_ports(home, ports)


def _cannot_bind(host: str, port: int, error: OSError, *, stored_ports: bool) -> InvalidInput:
    if error.errno == errno.EADDRINUSE:
        if stored_ports:
            own = " It is the port of this home: addresses given out before name it."
        else:
            own = ""

        return InvalidInput(
            f"{host} port {port} cannot be bound: another program has it.{own}",
            hint="End that program, or give another with --port (0 takes a free one).",
        )

    return InvalidInput(
        f"{host} port {port} cannot be bound: {(error.strerror or str(error)).lower()}.",
        hint="Give another with --host or --port.",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    # The runtime takes a second to import: connections that come before wait here.
    return socket.create_server((host, port), family=family, backlog=2048)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def url_of(listener: RuntimeListener, host: str) -> str:
    """Return the URL by which this machine reaches a listening socket."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    if ":" in reached:
        return f"http://[{reached}]:{listener.port}"
    return f"http://{reached}:{listener.port}"
