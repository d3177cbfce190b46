"""Makes a fork server: namespaces and a root like a sandbox's, process 1 of them, and the environment's Python in them.

Started by the runtime like a launcher, under its own Python. Three processes come of it: this one waits outside;
process 1 (`supervisor`) makes the sandboxes, and adopts the programs of a server that has died, so that they go on; the
server itself (`zygote`) is the environment's Python. All of them, and every sandbox, end with the runtime.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn

from . import channel, group_fork, identity, init, linux, rootfs, seccomp, supervisor

CONTROL_FD: Final = 3
GROUPS_FD: Final = 4
ENTRY: Final = "/.codewords/zygote.py"
_HIDDEN: Final = "hidden.txt"
# In its own user namespace: what entering a sandbox takes.
_CAPABILITIES: Final = (linux.CAP_SYS_CHROOT, linux.CAP_SYS_ADMIN)


def launch(spec: dict[str, Any], runtime: socket.socket) -> None:
    """Returns when the server and all its sandboxes have ended."""
    linux.die_with_parent()
    # die_with_parent holds from the call on; a parent that died before is caught by its number.
    if os.getppid() != spec["parent"]:
        return

    received = channel.receive(runtime)
    if received is None or not received[0].get("go"):
        return

    _, (channel_fd, *groups) = received
    # Before anything else: all that this process makes is counted from the start.
    linux.enter_groups(groups)
    for group in groups:
        os.close(group)
    requests = socket.socket(fileno=channel_fd)
    files = _own_files()
    sources = rootfs.Sources(**spec["sources"])
    identity.enter_server_namespaces(
        spec["first_id"],
        spec["ids"],
        partial(rootfs.build_server, spec["root"], sources, spec["sandboxes"], spec["groups"]),
    )
    # setuid cleared both.
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    linux.die_with_parent()
    if os.getppid() != spec["parent"]:
        return

    pid = os.fork()
    if pid == 0:
        _reporting(runtime, partial(_keep, spec, runtime, requests, files))
    # This process only waits: what it held open would keep the others' channels from ending.
    runtime.close()
    requests.close()
    os.closerange(0, 3)
    os.waitpid(pid, 0)


def _keep(
    spec: dict[str, Any], runtime: socket.socket, requests: socket.socket, files: dict[str, bytes]
) -> None:
    """Be process 1 of the server's pid namespace: start the server, then be its supervisor."""
    linux.die_with_parent()
    # Prepared isolations are copies of this process and have this name in their own /proc.
    linux.name_command(init.TITLE)
    rootfs.enter_server()
    fork = _forking_unlike_programs()
    # After the last write to /proc/sys.
    rootfs.restrict_proc(rootfs.SERVER_ROOT)
    groups = rootfs.open_groups()
    pid = fork()

    if pid == 0:
        requests.close()
        _reporting(runtime, partial(_become_server, spec, runtime, groups, files))

    pidfd = os.pidfd_open(pid)
    channel.send(runtime, {"server": pid}, [pidfd])
    os.close(pidfd)
    runtime.close()
    supervisor.serve(requests, groups)


def _forking_unlike_programs() -> Callable[[], int]:
    """The fork whose child has a number that no program will have in its own pid namespace: see `rootfs.skip_pids`."""
    try:
        rootfs.skip_pids()
    except FileNotFoundError:
        return partial(group_fork.fork_numbered, rootfs.high_pid())
    return os.fork


def _become_server(
    spec: dict[str, Any], runtime: socket.socket, groups: int, files: dict[str, bytes]
) -> None:
    # Out of the way first: the number of one may be the other's target.
    groups = init.above(groups, GROUPS_FD)
    os.dup2(runtime.fileno(), CONTROL_FD)
    os.dup2(groups, GROUPS_FD)
    linux.unshare(linux.CLONE_NEWNS)
    packages: str | None = spec["packages"]
    hidden = rootfs.cover_environment(packages, spec["preloadable"])
    _write_files(files | {_HIDDEN: "\n".join(hidden).encode()})
    os.chroot(rootfs.SERVER_ROOT)
    os.chdir("/")
    os.setsid()
    linux.keep_capabilities(_CAPABILITIES)
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    # The filter before the exec: no package's import code ever runs without it.
    linux.load_seccomp(seccomp.assemble(server=True))
    arguments = ["/env/bin/python", ENTRY, packages or ""]
    os.execve(arguments[0], arguments, spec["variables"])  # noqa: S606


def hidden_names() -> list[str]:
    """The names in the folder of packages that only programs see. For the server."""
    with open(f"{os.path.dirname(ENTRY)}/inside/{_HIDDEN}", encoding="utf-8") as file:
        return file.read().splitlines()


def _reporting(runtime: socket.socket, work: Callable[[], None]) -> NoReturn:
    """In a child: nothing returns from it into its parent's code, and the runtime hears why it failed."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001
        # Also SystemExit: a child that returned would go on as its parent.
        with contextlib.suppress(OSError):
            channel.send(runtime, {"error": str(error), "step": "fork server"})
    finally:
        os._exit(1)


def _own_files() -> dict[str, bytes]:
    """This package's sources: once the host's files are out of sight, the environment's Python reads them from memory."""
    folder = os.path.dirname(__file__)
    found: dict[str, bytes] = {}
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(f"{folder}/{name}", "rb") as file:
                found[name] = file.read()
    return found


def _write_files(files: dict[str, bytes]) -> None:
    home = rootfs.SERVER_ROOT + os.path.dirname(ENTRY)
    rootfs.cover_own_folder()
    os.mkdir(home + "/inside")
    for name, data in files.items():
        _write(f"{home}/inside/{name}", data)
    _write(rootfs.SERVER_ROOT + ENTRY, b"from inside.zygote import main\n\nmain()()\n")


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
