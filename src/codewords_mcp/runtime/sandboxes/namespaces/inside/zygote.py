"""The fork server itself: the environment's Python with well-known packages imported, waiting to fork.

It knows no workflow, no secret and no network. Each fork enters a prepared isolation (`forked`). The server
never waits for it, and reports its status when it has ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Final

from . import (
    ahead,
    boot,
    channel,
    code_pages,
    forked,
    group_fork,
    huge_pages,
    immortal,
    linux,
    mapped,
    preload,
    prepared,
    seccomp,
    supervisor,
    warm,
)
from .server import CONTROL_FD, GROUPS_FD, hidden_names

Program = Callable[[], None]

# Modules of which most runs for each fork, here or there.
_EACH_FORK: Final = (
    "ahead", "boot", "channel", "forked", "group_fork", "identity", "init", "linux", "prepared", "program_code", "supervisor",
    "zygote",
)  # fmt: skip

# So many times Python 3.11 has to run code before it has specialised most of it, which writes to
# the code's pages.
_REHEARSALS = 3
# The server uses the time when no request came for so long; sooner where there have been many, which do not pause.
_QUIET_SECONDS = 0.25
_SHORT_QUIET_SECONDS = 0.01
_MANY = 16
# Requests that wait, for each second that the imports took. The upkeep takes half of that, and saves some 3 ms a fork.
_CROWD = 120


def main() -> Program:
    """Prepare, say so, serve. Returns in a fork only, with what that has to run at the bottom of its stack."""
    began = time.perf_counter()
    control = socket.socket(fileno=CONTROL_FD)
    for fd in (CONTROL_FD, GROUPS_FD):
        os.set_inheritable(fd, False)
    packages, left_out = sys.argv[1], sys.argv[2:]
    hook = boot.UvicornHook()
    hidden = hidden_names()
    absent = preload.Absent(frozenset({*left_out, *(name.partition(".")[0] for name in hidden)}))

    try:
        sys.meta_path[:0] = [absent, hook]  # type: ignore[list-item]
        imported = preload.run(packages, absent)
        # No plugin is in sight. That there is none takes a look at all metadata, once here instead of in each fork.
        os.environ.pop("PYDANTIC_DISABLE_PLUGINS", None)
        for _ in range(_REHEARSALS):
            # "asyncio": uvloop's descriptors would be shared by all forks (`warm.serving`).
            warm.serving(hook, loop="asyncio")
        sys.meta_path.remove(absent)  # type: ignore[arg-type]
        if not absent.importers <= absent.names:
            # They remember that something is not there, and so may what imported them.
            _start_anew(absent.importers.union(left_out))
        contexts = preload.trusting()
        preload.settle()
        # After everything that runs a package's code.
        _check_quiet(control)
        helper = ahead.Helper(ahead.learn(partial(warm.serving, hook, loop="auto")))
    except Exception as error:  # noqa: BLE001
        # Whatever it is: programs then start without a fork server.
        channel.send(control, {"refused": str(error)[:500]})
        os._exit(1)

    filters = {exact: seccomp.assemble(exact_memory=exact) for exact in (True, False)}
    template = forked.ForkTemplate(
        hook, packages, filters, contexts, _is_hooked(hidden), forked.own_modules(), mapped.areas()
    )
    seconds = time.perf_counter() - began
    channel.send(control, {"ready": True, "modules": len(imported), "seconds": round(seconds, 3)})

    return _serve(control, template, helper, _upkeep(helper, hook), seconds)


def _check_quiet(control: socket.socket) -> None:
    """Forking is only right where nothing else goes on. Raises RuntimeError that says what does."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"a package started {threads - 1} thread(s) when it was imported")

    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
        raise RuntimeError("a package started a process when it was imported")

    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    files = {int(name) for name in os.listdir(listing)} - {0, 1, 2, control.fileno(), GROUPS_FD, listing}
    os.close(listing)
    # One is the listing's own.
    if len(files) > 1:
        raise RuntimeError(f"a package keeps {len(files) - 1} file(s) open")


def _start_anew(left_out: set[str]) -> None:
    """Be a new interpreter that leaves packages out."""
    for fd in (CONTROL_FD, GROUPS_FD):
        os.set_inheritable(fd, True)
    os.execv(sys.executable, [sys.executable, *sys.argv[:2], *sorted(left_out)])  # noqa: S606


def _is_hooked(hidden: list[str]) -> bool:
    """Whether the environment has code that Python runs as it starts; each program then has to run it."""
    return any(name.endswith(".pth") or name.startswith("sitecustomize") for name in hidden)


def _upkeep(helper: ahead.Helper, hook: boot.UvicornHook) -> Generator[None]:
    """Make forks cheaper, a piece at a time, once it has turned out that there are any."""
    yield from code_pages.gather(partial(_rehearse, hook), _EACH_FORK)
    yield from immortal.make_immortal()
    # Which wrote to most of the memory.
    yield from huge_pages.gather()
    # Forks write to fewer pages now.
    helper.areas = ahead.learn(partial(warm.serving, hook, loop="auto"))


def _rehearse(hook: boot.UvicornHook) -> None:
    """Do as far as possible what the server and a fork of it do."""
    warm.serving(hook, loop="asyncio")
    channel.rehearse()
    os.environ.update(dict(os.environ))


def _wait(control: socket.socket, forks: int, upkeep: Generator[None]) -> None:
    """Go on with the upkeep while no request comes. Returns when one has come, or nothing is left to do.

    `forks` that were made so far: without any there is no use in it.
    """
    if not forks:
        return

    quiet = _QUIET_SECONDS if forks < _MANY else _SHORT_QUIET_SECONDS
    if not select.select([control], [], [], quiet)[0]:
        for _ in upkeep:
            if select.select([control], [], [], 0)[0]:
                return


def _serve(
    control: socket.socket,
    template: forked.ForkTemplate,
    helper: ahead.Helper,
    upkeep: Generator[None],
    seconds: float,
) -> Program:
    def on_child(_number: int, _frame: object) -> None:
        supervisor.reap(control)

    wakeup = supervisor.Wakeup()
    signal.signal(signal.SIGCHLD, on_child)
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    forks = 0
    while True:
        _wait(control, forks, upkeep)
        wakeup.wait(control)
        received = channel.receive(control)
        if received is None:
            os._exit(0)
        message, fds = received
        # So many wait that it is quicker to make forks cheaper first.
        if message["waiting"] > _CROWD * seconds:
            for _ in upkeep:
                pass
        inside = socket.socket(fileno=fds[0])
        entry: prepared.EntryDescriptors | None = None

        try:
            entry = prepared.receive_entry(inside)
            # For children only: the server itself stays in its own namespace.
            linux.setns(entry.pid, linux.CLONE_NEWPID)
            # Blocked until the birth is reported: an end must not be reported before it.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
            pid, entered = group_fork.fork_in(message["group"], GROUPS_FD)
        except OSError as error:
            channel.send(control, {"failed": message["name"], "error": str(error), "errno": error.errno})
        else:
            if pid == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
                wakeup.leave()
                os.close(own_pids)
                os.close(GROUPS_FD)
                control.close()
                return forked.start(template, message, entry, inside, entered=entered)

            forks += 1
            channel.send(control, {"born": message["name"], "pid": pid})
            # A warm sandbox copies its pages itself while nobody waits (`warm`).
            if not message["early"]:
                helper.help(pid, control.fileno())

        # A fork that the upkeep makes must not be in the program's namespace.
        linux.setns(own_pids, linux.CLONE_NEWPID)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
        if entry is not None:
            entry.close()
        inside.close()
