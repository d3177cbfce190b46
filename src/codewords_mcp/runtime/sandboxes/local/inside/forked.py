"""A fork of the fork server: becomes process 1 of a fresh sandbox, forks the program, which waits to be claimed.

What isolates it is the same as for a program that is started by exec (`init`), in the same order. Only how the root
comes about differs, and that the program is not a new interpreter: it starts from the server's, made to look new.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final, cast

from . import boot, channel, identity, init, linux, rootfs, warm
from .ports import Ports
from .watch import Watch

MAIN: Final = "/app/main.py"
_RUNTIME_FD: Final = init.BOOT_FD + 1
_PROGRAM_SIGNALS: Final = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGPIPE: signal.SIG_IGN,
    signal.SIGXFSZ: signal.SIG_IGN,
}  # as Python itself sets them when it starts


@dataclass(frozen=True)
class Kit:
    """What the server made once for all forks. `filters`: by whether a cgroup holds their memory; `hooked`: the environment
    has code for Python's start (.pth files); `modules`: names of this package's.
    """

    hook: boot.UvicornHook
    packages: str
    filters: dict[bool, bytes]
    hooked: bool
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """What the runtime tells a program to be."""

    port: int
    variables: dict[str, str]
    limits: dict[str, Any]
    code: CodeType | None


def start(kit: Kit, message: dict[str, Any], fds: list[int]) -> Callable[[], None]:
    """In the new process 1; returns in the program only. `fds`: the runtime's channel, the listener, stdout, stderr."""
    runtime, listener = socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1])
    for number, fd in ((1, fds[2]), (2, fds[3])):
        os.dup2(fd, number)
        os.close(fd)
    try:
        names, ports = _isolate(kit, message, runtime)
    except BaseException as error:  # noqa: BLE001  # nothing may return into the server's code
        number = error.errno if isinstance(error, OSError) else None
        with contextlib.suppress(OSError):
            channel.send(runtime, {"error": str(error), "errno": number, "step": "isolation"})
        os._exit(1)
    watch = Watch(runtime, listener, None, ports)
    if watch.fork():
        fds = [listener.detach(), watch.boot.detach(), runtime.detach()]
        return lambda: _program(kit, fds, early=message["early"], proxies=not init.catches_all(names))
    try:
        watch.run()
    finally:
        os._exit(0)


def _isolate(kit: Kit, message: dict[str, Any], runtime: socket.socket) -> tuple[list[str], Ports]:
    """See `init.run`; the names of the listeners, and who knows of the program's. Ends the process where the runtime
    has gone.
    """
    pidfd = os.pidfd_open(os.getpid())
    channel.send(runtime, {"forked": True}, [pidfd])
    os.close(pidfd)
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWNET)
    counters = rootfs.enter_forked(message["name"])
    names = init.open_network(runtime, network=message["network"])
    identity.become(message["uid"], counters)
    _reseed()
    if not init.in_group(runtime):
        os._exit(0)
    ports = Ports()
    identity.lock_down(kit.filters[message["exact_memory"]])
    return names, ports


def _program(kit: Kit, fds: list[int], *, early: bool, proxies: bool) -> None:
    """Be the program: at the bottom of the stack, so that it ends as Python ends. Raises SystemExit."""
    init.settle()
    for number, handler in _PROGRAM_SIGNALS.items():
        signal.signal(number, handler)
    _place(fds)
    if early:  # nobody waits yet
        warm.requests()
        warm.serving()
        os.write(_RUNTIME_FD, b'{"waiting": true}')
    claim = _claim(proxies=proxies)
    limits = claim.limits
    identity.limit(
        files=limits["files"], disk=limits["disk"], processes=limits["processes"] + 1, memory=limits["memory"]
    )
    kit.hook.serve(init.LISTENER_FD, init.BOOT_FD, claim.port)
    _buried = _look_new(kit, claim)  # kept: to free them would cost a millisecond
    boot.run(MAIN, kit.hook, claim.code)


def _place(fds: list[int]) -> None:
    """The listener at 3, the channel to process 1 at 4, the runtime's at 5; nothing else stays open."""
    high = [init.above(fd, _RUNTIME_FD) for fd in fds]
    for number, fd in zip((init.LISTENER_FD, init.BOOT_FD, _RUNTIME_FD), high, strict=True):
        os.dup2(fd, number)
    os.closerange(_RUNTIME_FD + 1, 1024)


def _claim(*, proxies: bool) -> Claim:
    """Wait until the runtime says what to run; ends the process where it hangs up instead."""
    with socket.socket(fileno=_RUNTIME_FD) as runtime:
        received = channel.receive(runtime)
        if received is None or not received[1]:
            os._exit(0)
        with os.fdopen(received[1][0], "rb") as file:
            claim: dict[str, Any] = json.loads(file.readline())
            compiled = file.read()
        os.write(init.BOOT_FD, json.dumps({"claimed": claim["port"]}).encode())
        channel.send(runtime, {"running": True})
    variables = cast("dict[str, str]", claim["variables"])
    if proxies:
        variables = init.proxy_variables() | variables
    code = marshal.loads(compiled) if compiled else None  # noqa: S302  # the runtime's, never a program's
    return Claim(claim["port"], variables, claim["limits"], code)


def own_modules() -> tuple[str, ...]:
    """Names of this package's modules; asked for in the server, since going through all modules touches all of them."""
    own = __package__ or ""
    return tuple(name for name in sys.modules if name == own or name.startswith(own + "."))


def _look_new(kit: Kit, claim: Claim) -> list[object]:
    """What differs between this interpreter and one that was started for the program; the modules it shall not see."""
    os.environ.clear()
    os.environ.update(claim.variables)
    if "TZ" in claim.variables:
        import time

        time.tzset()
    buried: list[object] = [sys.modules.pop(name, None) for name in kit.modules]
    sys.orig_argv[:] = ["/env/bin/python", rootfs.BOOT, MAIN]
    sys.path[0] = os.path.dirname(MAIN)
    if kit.hooked:
        import site

        site.addsitedir(kit.packages)
        with contextlib.suppress(ImportError):
            import sitecustomize  # noqa: F401  # pyright: ignore[reportMissingImports, reportUnusedImport]
    kit.hook.forget()
    return buried


def _reseed() -> None:
    """Random numbers that are not the server's, where a fork alone does not see to it (`random` does itself)."""
    if "ssl" in sys.modules:
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
    process: Any = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = os.urandom(32)
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
