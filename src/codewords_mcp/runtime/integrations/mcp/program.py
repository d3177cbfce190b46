"""Becomes the server of a package, in a sandbox: never imported by the runtime, but run there as a workflow's program is.

It takes one connection, makes it standard input and output, and executes the server's command in its own place, so
that no process stands between the server and the runtime. The standard library only, since the environment is the server's.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_RUN = "import sys; from {module} import {top} as main; sys.argv[0] = {name!r}; sys.exit(main{rest}())"
# Read by many programs as the port to serve on, or meant for workflows.
_DROPPED = ("PORT", "MCP_LAUNCH", "FORWARDED_ALLOW_IPS")


def main() -> None:
    """Wait for the runtime's connection and be the server."""
    launch = json.loads(os.environ["MCP_LAUNCH"])
    port = int(os.environ["PORT"])
    command = (
        _node_command(launch["name"]) if launch["registry"] == "npm" else _python_command(launch["name"])
    )

    with _listener(port) as listener:
        connection, _ = listener.accept()
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)

    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    os.execvpe(command[0], [*command, *launch["arguments"]], environment)  # noqa: S606  # its own sandbox


def _listener(port: int) -> socket.socket:
    """The sandbox's own listening socket, as uvicorn gets it there, so that nothing carries the bytes; else one on a port."""
    for hook in sys.meta_path:
        listener, channel = getattr(hook, "listener", -1), getattr(hook, "channel", -1)
        if listener >= 0 and channel >= 0:
            # Process 1 of the sandbox need not look for a port then.
            os.write(channel, json.dumps({"serving": None}).encode())
            return socket.socket(fileno=os.dup(listener))
    return socket.create_server(("127.0.0.1", port), backlog=1)


def _python_command(package: str) -> list[str]:
    """The command of a package's script: of the package's own name, the only one, or one that says mcp."""
    try:
        found = {
            entry.name: entry.value
            for entry in distribution(package).entry_points.select(group="console_scripts")
        }
    except PackageNotFoundError:
        found = {}
    names = [name for name in found if name.replace("_", "-") == package] or [
        name for name in found if "mcp" in name
    ]
    if not names and len(found) == 1:
        names = list(found)
    if not names:
        return [sys.executable, "-m", package.replace("-", "_")]

    module, _, target = found[names[0]].partition("[")[0].strip().partition(":")
    top, dot, rest = target.partition(".")
    return [sys.executable, "-c", _RUN.format(module=module, top=top, name=names[0], rest=dot + rest)]


def _node_command(package: str) -> list[str]:
    """The command of a package's program, as npm would run it."""
    folder = Path(sys.prefix) / "node_modules" / package
    described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    listed: str | dict[str, str] = described.get("bin") or {}
    programs = {package: listed} if isinstance(listed, str) else listed
    bare = package.rpartition("/")[2]
    names = (
        [name for name in programs if name == bare]
        or [name for name in programs if "mcp" in name]
        or list(programs)
    )
    if not names:
        sys.exit(f"{package} has no program to run.")
    own = Path(sys.prefix) / "bin" / "node"
    return [str(own) if own.exists() else "node", str(folder / programs[names[0]])]


if __name__ == "__main__":
    main()
