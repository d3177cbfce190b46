"""Makes one sandbox: leaves the host's namespaces, builds the root, forks process 1 and waits for it.

Started by the runtime with file descriptors: the channel, the specification (JSON in a memory file, so that it never
shows in an argument or an environment), the listening Unix socket and the entrances of the sandbox's control groups.
With the first two alone it makes a fork server.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from typing import Any

from . import channel, group_fork, identity, init, linux, rootfs, server


def main() -> None:
    """Entry point; exits the process when the sandbox is over."""
    fds = [int(argument) for argument in sys.argv[1:]]
    for fd in fds:
        # Else they would survive the exec of the program.
        os.set_inheritable(fd, False)
    runtime = socket.socket(fileno=fds[0])
    try:
        spec = _read_spec(fds[1])
        if len(fds) > 2:
            _launch(spec, runtime, socket.socket(fileno=fds[2]), fds[3:])
        else:
            server.launch(spec, runtime)
    except Exception as error:  # noqa: BLE001
        # The runtime must learn the reason, and stderr is the program's.
        if isinstance(error, OSError):
            number = error.errno
        else:
            number = None

        with contextlib.suppress(OSError):
            channel.send(runtime, {"error": str(error), "errno": number, "step": "isolation"})
        os._exit(1)

    os._exit(0)


def _read_spec(fd: int) -> dict[str, Any]:
    with os.fdopen(fd, "rb") as file:
        return json.load(file)


def _launch(spec: dict[str, Any], runtime: socket.socket, listener: socket.socket, groups: list[int]) -> None:
    linux.die_with_parent()
    # die_with_parent holds from the call on; a parent that died before is caught by its number.
    if os.getppid() != spec["parent"]:
        return

    identity.enter_namespaces(spec["uid"])
    rootfs.build(rootfs.Sources(**spec["sources"]))
    # The new pid namespace is entered by children only: the first of them is its process 1.
    pid, entered = group_fork.fork_in(spec["group"])
    if pid == 0:
        if not entered:
            linux.enter_groups(groups)
        init.run(spec, runtime, listener, groups)
        os._exit(0)

    pidfd = os.pidfd_open(pid)
    channel.send(runtime, {"forked": pid}, [pidfd])
    os.close(pidfd)
    # Pipes and channel end when the program's processes end, not when this one does.
    runtime.close()
    listener.close()
    for fd in (0, 1, 2, *groups):
        os.close(fd)
    os.waitpid(pid, 0)
