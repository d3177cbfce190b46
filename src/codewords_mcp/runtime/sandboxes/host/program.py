"""The files and the environment of a program that runs in this machine's own file system."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from codewords_mcp.runtime.sandboxes import authorities
from codewords_mcp.runtime.sandboxes.base import SandboxSpec
from codewords_mcp.runtime.sandboxes.host import paths
from codewords_mcp.runtime.sandboxes.host.proxy_variables import proxy_variables
from codewords_mcp.runtime.sandboxes.namespaces.inside import channel

BOOT: Final = str(Path(__file__).parent.parent / "namespaces" / "inside" / "boot.py")
_BACKLOG: Final = 4096


def python(spec: SandboxSpec) -> str:
    """The path of the environment's Python."""
    # The venv's own link is made for a path that only sandboxes with a root of their own have.
    environment = spec.environment
    return str(environment.base_prefix / "bin" / f"python{environment.python_version}")


def variables(
    spec: SandboxSpec, folders: paths.Folders, port: int, uri: str | None, proxy: int | None
) -> dict[str, str]:
    """The program's whole environment. The workflow's values replace our defaults, not what is needed here."""
    environment = spec.environment
    site = environment.path / "lib" / f"python{environment.python_version}" / "site-packages"
    own = {
        "PATH": f"{environment.path}/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "FORWARDED_ALLOW_IPS": "*",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    if any((environment.base_prefix / "lib").glob("libpython*.so*")) and environment.base_prefix != Path(
        "/usr"
    ):
        own["LD_LIBRARY_PATH"] = str(environment.base_prefix / "lib")

    way_out = proxy_variables(proxy) if proxy else {}
    if uri:
        runtime = {"CODEWORDS_RUNTIME_URI": uri, "RUNTIME_URI": uri}
    else:
        runtime = {}

    fixed = {
        "PYTHONPATH": str(site),
        "HOME": str(folders.app),
        "TMPDIR": str(folders.tmp),
        "PORT": str(port),
    }
    trust = authorities.variables(spec.authority, str(folders.app / authorities.FILE))
    return own | way_out | dict(spec.env) | trust | runtime | fixed


def write_program(spec: SandboxSpec, folders: paths.Folders, listener: socket.socket) -> None:
    """Write the code and the trusted authorities, and listen on the sandbox's socket. Raises OSError."""
    (folders.app / "main.py").write_text(spec.code, encoding="utf-8", newline="")
    if spec.authority:
        (folders.app / authorities.FILE).write_bytes(authorities.bundle(spec.authority))
    listener.bind(folders.socket)
    listener.listen(_BACKLOG)


def receive_messages(end: socket.socket, deliver: Callable[[dict[str, Any]], None]) -> bool:
    """Deliver the messages that wait in a channel. Returns False once the other end is gone."""
    while True:
        try:
            received = channel.receive(end)
        except BlockingIOError:
            return True
        except OSError:
            received = None

        if received is None:
            return False

        message, fds = received
        # The program may send some.
        for fd in fds:
            os.close(fd)
        deliver(message)
