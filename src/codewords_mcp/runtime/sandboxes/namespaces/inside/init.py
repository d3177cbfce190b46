"""Process 1 of a sandbox: finishes the isolation from inside, starts the program, then waits on it (`watch`)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Any, Final

from . import channel, identity, linux, netns, rootfs, seccomp
from .ports import ListeningPorts
from .watch import ProgramWatch

LISTENER_FD: Final = 3
BOOT_FD: Final = 4
TITLE: Final = "codewords-sandbox"
"""The name of a sandbox's process 1 in lists of processes."""


def run(spec: dict[str, Any], runtime: socket.socket, listener: socket.socket, groups: list[int]) -> None:
    """Be process 1, which is in its control groups; `groups` are closed.

    Returns only when the sandbox is over; whoever forked this then exits.
    """
    linux.die_with_parent()
    for group in groups:
        os.close(group)
    linux.name_command(TITLE)
    counters = rootfs.enter(spec["root"])
    names = open_network(runtime, network=spec["network"])
    identity.become(spec["uid"], counters)
    # The group becomes the topmost that can be seen here. A kernel without cgroup namespaces is
    # fine.
    with contextlib.suppress(OSError):
        linux.unshare(linux.CLONE_NEWCGROUP)
    received = channel.receive(runtime)
    # The runtime has gone, or ends this sandbox.
    if received is None or not received[0].get("go"):
        return

    # setuid cleared it
    linux.die_with_parent()
    limits = spec["limits"]
    identity.limit(limits)
    ports = ListeningPorts()
    # After all that takes rights: from here on no mount, namespace or netlink socket can be made.
    identity.lock_down(seccomp.assemble(exact_memory=limits["memory"] is None))
    ours, boot = channel.pair()
    watch = ProgramWatch(runtime, listener, ours, ports, spec["port"])
    if watch.fork():
        _exec(spec, runtime, listener, boot, without_proxies=catches_all(names))
    boot.close()
    channel.send(runtime, {"running": True})
    watch.run()


def open_network(runtime: socket.socket, *, network: bool) -> list[str]:
    """Set the network up and hand its listeners to the runtime; their names."""
    socket.sethostname("sandbox")
    netns.loopback_up()
    listeners = netns.open_listeners() if network else {}
    names = list(listeners)
    channel.send(
        runtime, {"standing": True, "listeners": names}, [listeners[name].fileno() for name in names]
    )
    # Process 1 runs with the program's rights; the runtime alone may accept on these.
    for opened in listeners.values():
        opened.close()
    return names


def catches_all(names: list[str]) -> bool:
    """Whether no connection needs a proxy: the kernel redirects all of them, or there is no way out at all."""
    return "transparent" in names or not names


def _exec(
    spec: dict[str, Any],
    runtime: socket.socket,
    listener: socket.socket,
    boot: socket.socket,
    *,
    without_proxies: bool,
) -> None:
    """Be the program; never returns into process 1's code."""
    try:
        settle()
        # Ignored so far, SIGINT by the watch and the others by Python; exec keeps what is ignored.
        for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        _place_fds(listener.fileno(), boot.fileno())
        variables: dict[str, str] = dict(spec["variables"])
        if not without_proxies:
            variables = proxy_variables() | variables
        arguments: list[str] = [*spec["argv"], str(LISTENER_FD), str(BOOT_FD), str(spec["port"])]
        os.execve(arguments[0], arguments, variables)  # noqa: S606
    except BaseException as error:  # noqa: BLE001
        # Nothing may return into process 1's code.
        with contextlib.suppress(OSError):
            channel.send(
                runtime, {"error": f"the environment's Python did not start: {error}", "step": "exec"}
            )
    finally:
        os._exit(127)


def settle() -> None:
    """Set up the program's process: session, folder, standard input. The same for exec and fork."""
    # /proc/self is not ours while the process is not dumpable; exec would set it anyway.
    linux.prctl(linux.PR_SET_DUMPABLE, 1)
    # Process 1 must outlive the program to report how it ended.
    _write("/proc/self/oom_score_adj", "500")
    os.setsid()
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.chdir("/app")
    os.umask(0o022)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.write(fd, text.encode())
    os.close(fd)


def _place_fds(listener: int, boot: int) -> None:
    """The listener at 3 and the channel to process 1 at 4; nothing else survives exec but 0, 1, 2."""
    high_listener, high_boot = os.dup(listener), os.dup(boot)
    high_listener, high_boot = above(high_listener, BOOT_FD), above(high_boot, BOOT_FD)
    os.dup2(high_listener, LISTENER_FD)
    os.dup2(high_boot, BOOT_FD)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > BOOT_FD:
            # Closed by exec, not here: until then the runtime can still be told of a failure.
            with contextlib.suppress(OSError):
                os.set_inheritable(int(name), False)


def above(fd: int, last: int) -> int:
    """The same file at a number that dup2 up to `last` will not overwrite."""
    while fd <= last:
        fd = os.dup(fd)
    return fd


def proxy_variables() -> dict[str, str]:
    """For kernels that cannot redirect: clients that heed these still get out."""
    proxy = f"http://127.0.0.1:{netns.CONNECT_PORT}"
    local = "localhost,127.0.0.1,::1"
    return {
        "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": local,
        "http_proxy": proxy, "https_proxy": proxy, "no_proxy": local,
    }  # fmt: skip
