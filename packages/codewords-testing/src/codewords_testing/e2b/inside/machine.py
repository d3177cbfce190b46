"""Process 1 of a machine: namespaces, a root whose changes are its own, and a loop that starts what envd is asked to.

Messages, one JSON object a packet (`sandboxes.namespaces.inside.channel`):
host → machine   {"run": id} + memory file of {argv, env, cwd}, stdin, stdout, stderr · {"signal": number, "pid": pid}
                 {"dial": id, "port": number} · {"freeze": true} · {"thaw": true}
machine → host   {"up": true} + the listeners of its network · {"started": id, "pid": pid} · {"failed": id, "error": text}
                 {"exited": pid, "status": code} · {"dialled": id} + a socket · {"refused": id} · {"broken": text}
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from codewords_mcp.runtime.sandboxes.namespaces.inside import channel, linux, netns
else:
    from sandboxes.namespaces.inside import channel, linux, netns

from . import root

TRANSPARENT_PORT: Final = 40129
"""Far from what programs listen on: a machine's connections are redirected there, and names are asked at port 53."""
_LOOPBACKS: Final = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))
_DIAL_SECONDS: Final = 1.0


def main(channel_fd: int, spec_fd: int) -> None:
    """Be the machine; returns when it is over."""
    host = socket.socket(fileno=channel_fd)
    with os.fdopen(spec_fd, encoding="utf-8") as file:
        spec: dict[str, Any] = json.load(file)
    linux.die_with_parent()
    # The parent may have ended before the call above took effect.
    if os.getppid() != spec["parent"]:
        return

    try:
        _enter_namespaces()
        root.build(spec)
    except OSError as error:
        channel.send(host, {"broken": str(error)})
        return

    # The new namespace of processes holds for children only: the first of them is its process 1.
    pid = os.fork()
    if pid == 0:
        _guarded(host, spec)
    # The child has its own copy: the host must see the channel close when the child ends.
    host.close()
    os.waitpid(pid, 0)


def _guarded(host: socket.socket, spec: dict[str, Any]) -> None:
    """In the child that is process 1: never returns into its parent's code."""
    try:
        linux.die_with_parent()
        root.enter(spec["root"])
        _report_up(host, network=spec["network"])
        Init(host).run()
    except OSError as error:
        with contextlib.suppress(OSError):
            channel.send(host, {"broken": str(error)})
    finally:
        # Not `sys.exit`, whose exception the parent's code, copied by the fork, could catch.
        os._exit(0)


def _enter_namespaces() -> None:
    """As an ordinary user also a user namespace, in which the user is itself, with every right over what is new here."""
    flags = (
        linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    )
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        linux.unshare(flags)
        return

    # In one call: only the new user namespace gives an ordinary user the right to make the others.
    linux.unshare(flags | linux.CLONE_NEWUSER)
    for name, text in (
        # The kernel takes a map of groups from an ordinary user only after this.
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="utf-8") as file:
            file.write(text)


def _report_up(host: socket.socket, *, network: bool) -> None:
    socket.sethostname("e2b")
    netns.loopback_up()
    listeners = _open_network() if network else []
    channel.send(host, {"up": True}, [listener.fileno() for listener in listeners])
    for listener in listeners:
        # The host has its own copies.
        listener.close()


def _open_network() -> list[socket.socket]:
    """Listeners for every connection that leaves and for its names; none where the kernel cannot redirect."""
    try:
        netns.redirect_tcp(TRANSPARENT_PORT)
        netns.route_everything_to_loopback(local=False)
    except OSError:
        return []
    tcp = socket.create_server(("127.0.0.1", TRANSPARENT_PORT), backlog=256)
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind(("127.0.0.1", netns.DNS_PORT))
    return [tcp, dns]


def _woken(_number: int, _frame: FrameType | None) -> None:
    """A child has ended; the loop is woken by the signal itself."""


class Init:
    """Starts, signals and reaps processes until the host lets go of the channel."""

    def __init__(self, host: socket.socket) -> None:
        self._host = host
        self._over = False
        self._ours: set[int] = set()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Returns when the host is gone; every process of the machine then dies with this one."""
        wake, wake_inside = socket.socketpair()
        for end in (wake, wake_inside, self._host):
            end.setblocking(False)
        # A signal alone does not end `select`, which goes on after it (PEP 475): something must
        # become readable.
        signal.set_wakeup_fd(wake_inside.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _woken)
        self._selector.register(self._host, selectors.EVENT_READ, self._on_host)
        self._selector.register(wake, selectors.EVENT_READ, partial(wake.recv, 4096))

        while not self._over:
            for key, _ in self._selector.select():
                key.data()
            self._reap()

    def _send(self, message: dict[str, Any], fds: list[int] | None = None) -> None:
        # A message must not be lost because the host is behind.
        self._host.setblocking(True)
        try:
            channel.send(self._host, message, fds)
        except OSError:
            self._over = True
        finally:
            self._host.setblocking(False)

    def _on_host(self) -> None:
        try:
            received = channel.receive(self._host)
        except BlockingIOError:
            return

        if received is None:
            self._over = True
            return

        message, fds = received
        try:
            self._answer(message, fds)
        finally:
            # The program has its own copies; a pipe that stays open here would never end.
            for fd in fds:
                os.close(fd)

    def _answer(self, message: dict[str, Any], fds: list[int]) -> None:
        if "run" in message:
            self._run(message["run"], *fds)
        elif "dial" in message:
            self._dial(message["dial"], message["port"])
        elif "signal" in message:
            with contextlib.suppress(ProcessLookupError):
                os.kill(message["pid"], message["signal"])
        else:
            # -1 is every process but this one itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGSTOP if "freeze" in message else signal.SIGCONT)

    def _run(self, number: int, spec_fd: int, stdin: int, stdout: int, stderr: int) -> None:
        with open(spec_fd, encoding="utf-8", closefd=False) as file:
            spec: dict[str, Any] = json.load(file)
        try:
            # Not waited for here: `_reap` collects every process.
            program = subprocess.Popen(
                spec["argv"], env=spec["env"], cwd=spec["cwd"], stdin=stdin, stdout=stdout, stderr=stderr,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            self._send({"failed": number, "error": error.strerror or str(error), "errno": error.errno})
            return

        # Else the object warns that nobody collected its process.
        program.returncode = 0
        self._ours.add(program.pid)
        self._send({"started": number, "pid": program.pid})

    def _dial(self, number: int, port: int) -> None:
        """Connect to a port of the machine's loopback, as the real edge does by way of its forwarder."""
        for address, family in _LOOPBACKS:
            link = socket.socket(family, socket.SOCK_STREAM)
            link.settimeout(_DIAL_SECONDS)
            try:
                link.connect((address, port))
            except OSError:
                link.close()
                continue

            # The descriptor goes to the host, since a connection can be made only from within the
            # machine.
            self._send({"dialled": number}, [link.fileno()])
            link.close()
            return

        self._send({"refused": number})

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            # Signals of one kind merge: one may stand for several children.
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                # Others are orphans of programs, which nobody asked for.
                if pid in self._ours:
                    self._ours.discard(pid)
                    self._send({"exited": pid, "status": os.waitstatus_to_exitcode(status)})
