"""Answers the system calls that the filter asks about: the supervisor makes connections for the program, or refuses them.

Landlock knows ports but no addresses, so the program may not connect by itself. The supervisor takes the program's socket (a
duplicate of its descriptor) and connects it, to addresses that it has read once and judged: what the program changes
in its memory meanwhile has no effect. Ports that the program binds are real ones on loopback, chosen by the kernel; the
sandbox alone knows them by the numbers that it asked for.

Where the kernel gives no duplicates (pidfd_getfd refused), connections are judged and then made by the program itself,
within Landlock's ports; binding is refused. `exact` tells the two apart.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from typing import Final

from ...namespaces.inside import syscalls
from . import filter as rules
from . import tree

_RECEIVE, _SEND, _STILL_THERE = 0xC050_2100, 0xC018_2101, 0x4008_2102
_REQUEST: Final = struct.Struct("=QIIiIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_CONTINUE: Final = 1
_PIDFD_GETFD: Final = 438
_ANY_PORT: Final = 0
_LENGTHS: Final[dict[int, int]] = {int(socket.AF_INET): 16, int(socket.AF_INET6): 28}
_V4: Final = b"\x7f\x00\x00\x01"
_V6: Final = bytes(15) + b"\x01"
_MAPPED: Final = bytes(10) + b"\xff\xff" + _V4

_libc = ctypes.CDLL(None, use_errno=True)


class SyscallRefused(Exception):
    """An answer of -errno."""

    def __init__(self, code: int) -> None:
        self.code = code


class ConnectTarget(Exception):
    """The program may make the call itself."""


class SyscallBroker:
    """`allowed` are ports of the runtime's on 127.0.0.1; `own` the number by which the program is told to listen.

    `on_ports_changed` hears, in its numbers, on which ports the program listens: {number: (address, real port)}.
    """

    def __init__(
        self,
        listener: int,
        program: int,
        allowed: list[int],
        max_processes: int,
        on_ports_changed: Callable[[dict[int, tuple[str, int]]], None],
    ) -> None:
        self._listener = listener
        self._program = program
        self._allowed = frozenset(allowed)
        self._max_processes = max_processes
        self._on_ports_changed = on_ports_changed
        self._ports: dict[int, tuple[str, int]] = {}
        self._listening: dict[int, tuple[str, int]] = {}
        self._names = {number: name for name, number in syscalls.numbers().items()}
        self._handlers: dict[str, Callable[[int, tuple[int, ...]], int]] = {
            "connect": self._connect, "bind": self._bind, "listen": self._listen,
            **dict.fromkeys(rules.FORKS, self._fork),
            "kill": self._kill, "tkill": self._signal, "tgkill": self._signal,
            "rt_sigqueueinfo": self._signal, "rt_tgsigqueueinfo": self._signal,
        }  # fmt: skip
        self.exact = self._may_duplicate()
        self.closed = False
        """Set it, and no call is answered any more: whoever asks waits for its end."""

    def serve(self) -> None:
        """Answer until nobody is left to ask. For a thread: taking a call may wait where its asker has just died."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while not any(events & select.POLLHUP for _, events in poll.poll()):
            self._handle_call()

    def _handle_call(self) -> None:
        """Take one call and answer it; one that blocks (a connection made by a blocking socket) does so in a thread."""
        request = bytearray(_REQUEST.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, request)
        except OSError:
            # The program's thread is gone.
            return

        if self.closed:
            return

        number, thread, _, call, _, _, *arguments = _REQUEST.unpack(request)
        name = self._names.get(call, "")
        handler = self._handlers.get(name, _refuse)
        # In a thread: a blocking connect would hold up every other call of the program.
        if name == "connect":
            threading.Thread(
                target=self._respond, args=(number, thread, handler, tuple(arguments)), daemon=True
            ).start()
        else:
            self._respond(number, thread, handler, tuple(arguments))

    def _respond(
        self,
        number: int,
        thread: int,
        handler: Callable[[int, tuple[int, ...]], int],
        arguments: tuple[int, ...],
    ) -> None:
        value, code, flags = 0, 0, 0
        try:
            value = handler(thread, arguments)
        except ConnectTarget:
            flags = _CONTINUE
        except SyscallRefused as refused:
            code = -refused.code
        except OSError as error:
            code = -(error.errno or errno.EACCES)

        with contextlib.suppress(OSError):
            # Read again before the answer: the number may be another thread's by now.
            self._check(number)
            fcntl.ioctl(self._listener, _SEND, _RESPONSE.pack(number, value, code, flags))

    def _check(self, number: int) -> None:
        """The asking thread still waits, so what was read by its number was its own. Raises OSError."""
        fcntl.ioctl(self._listener, _STILL_THERE, struct.pack("=Q", number))

    def _connect(self, thread: int, arguments: tuple[int, ...]) -> int:
        address = _read_address(thread, arguments)
        family = struct.unpack_from("=H", address)[0]
        if family == socket.AF_UNSPEC:
            if not self.exact:
                # The end of a connection. Whatever the program turns it into meanwhile, Landlock
                # bounds its ports.
                raise ConnectTarget
        elif family == socket.AF_INET:
            address = self._judge(address, "127.0.0.1" if address[4:8] == _V4 else "")
        elif family == socket.AF_INET6:
            host = {_MAPPED: "127.0.0.1", _V6: "::1"}.get(address[8:24], "")
            address = self._judge(address, host)
        else:
            raise SyscallRefused(errno.EACCES)

        # Judged only: without a duplicate the program connects itself, and could change the
        # address.
        if not self.exact:
            raise ConnectTarget

        with _Duplicate(thread, arguments[0]) as fd:
            _call("connect", fd, address, len(address))
        return 0

    def _judge(self, address: bytes, host: str) -> bytes:
        """The address to connect to instead: the runtime's listeners as they are, ports of the sandbox's own as they are
        really numbered. `host` is "" for what is not loopback.
        """
        if not host:
            raise SyscallRefused(errno.ENETUNREACH)

        port = struct.unpack_from("!H", address, 2)[0]
        if port in self._allowed and host == "127.0.0.1":
            # The runtime's listeners are on IPv4 only.
            return address

        own = self._ports.get(port)
        if own is None or own[0] != host:
            raise SyscallRefused(errno.ECONNREFUSED)

        return address[:2] + struct.pack("!H", own[1]) + address[4:]

    def _bind(self, thread: int, arguments: tuple[int, ...]) -> int:
        address = _read_address(thread, arguments)
        family, port = struct.unpack_from("=H", address)[0], struct.unpack_from("!H", address, 2)[0]
        if not self.exact or family not in (socket.AF_INET, socket.AF_INET6):
            raise SyscallRefused(errno.EACCES)
        with _Duplicate(thread, arguments[0]) as fd:
            self._bind_loopback(fd, port)
        return 0

    def _bind_loopback(self, fd: int, port: int) -> None:
        """Bind to a port of loopback that is free, whatever was asked for: nobody else's network sees it."""
        with socket.socket(fileno=os.dup(fd)) as sock:
            host = "127.0.0.1"
            if sock.family == socket.AF_INET6:
                only = sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                host = "::1" if only else "::ffff:127.0.0.1"
            elif sock.family != socket.AF_INET:
                raise SyscallRefused(errno.EACCES)

            # The kernel chooses: two sandboxes that ask for one port both get one.
            sock.bind((host, _ANY_PORT))
            real: int = sock.getsockname()[1]

        self._ports[port or real] = ("::1" if host == "::1" else "127.0.0.1", real)

    def _listen(self, thread: int, arguments: tuple[int, ...]) -> int:
        """The socket that the program was given listens already, and it is the only one where there are no duplicates."""
        if not self.exact:
            return 0

        with _Duplicate(thread, arguments[0]) as fd, socket.socket(fileno=os.dup(fd)) as sock:
            if sock.family not in (socket.AF_INET, socket.AF_INET6):
                return 0

            if sock.getsockname()[1] == _ANY_PORT:
                self._bind_loopback(fd, _ANY_PORT)
            # Registers are unsigned; the program may pass a negative backlog.
            backlog = ctypes.c_int(arguments[1] & 0xFFFF_FFFF).value
            sock.listen(max(0, backlog))
            real = sock.getsockname()[1]

        for number, endpoint in self._ports.items():
            if endpoint[1] == real:
                self._listening[number] = endpoint

        self._on_ports_changed(self._listening)
        return 0

    def _fork(self, _thread: int, _arguments: tuple[int, ...]) -> int:
        # Counted before the call goes on. Threads that ask at the same time are answered one by
        # one.
        if tree.count(os.getpid(), self._max_processes + 1) > self._max_processes:
            raise SyscallRefused(errno.EAGAIN)
        raise ConnectTarget

    def _kill(self, thread: int, arguments: tuple[int, ...]) -> int:
        """Judge kill(2)."""
        # It also names groups: the caller's own, or that of a process of the sandbox; -1 is everybody.
        target = ctypes.c_int(arguments[0] & 0xFFFF_FFFF).value
        if target == 0:
            raise ConnectTarget
        if target == -1:
            raise SyscallRefused(errno.EPERM)
        return self._signal(thread, (abs(target),))

    def _signal(self, _thread: int, arguments: tuple[int, ...]) -> int:
        target = ctypes.c_int(arguments[0] & 0xFFFF_FFFF).value
        if not tree.is_below(target, os.getpid()):
            raise SyscallRefused(errno.EPERM if tree.exists(target) else errno.ESRCH)
        raise ConnectTarget

    def _may_duplicate(self) -> bool:
        try:
            with _Duplicate(self._program, 0):
                return True
        except (OSError, SyscallRefused):
            return False


class _Duplicate:
    """A duplicate of another process's descriptor, for as long as the block lasts."""

    def __init__(self, thread: int, fd: int) -> None:
        # The kernel names the thread that asks, and pidfd_open takes processes only.
        pidfd = os.pidfd_open(tree.process_of(thread))
        try:
            self._fd: int = _libc.syscall(
                ctypes.c_long(_PIDFD_GETFD),
                ctypes.c_int(pidfd),
                # A descriptor is the lower half of the register; what the program put above it
                # means nothing.
                ctypes.c_int(fd & 0xFFFF_FFFF),
                ctypes.c_uint(0),
            )
            code = ctypes.get_errno()
        finally:
            os.close(pidfd)

        if self._fd < 0:
            raise SyscallRefused(code)

    def __enter__(self) -> int:
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _read_address(thread: int, arguments: tuple[int, ...]) -> bytes:
    """The socket address of connect or bind, padded to the longest that is looked at; its length is kept in bounds."""
    # The kernel takes the low half of the register.
    length = ctypes.c_int(arguments[2] & 0xFFFF_FFFF).value
    if not 2 <= length <= 128:
        raise SyscallRefused(errno.EINVAL)

    # Read once: what is judged is what is connected, whatever the program writes there meanwhile.
    memory = os.open(f"/proc/{tree.process_of(thread)}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        address = os.pread(memory, length, arguments[1])
    finally:
        os.close(memory)

    needed = _LENGTHS.get(struct.unpack_from("=H", address)[0], 2)
    if len(address) < needed:
        raise SyscallRefused(errno.EINVAL)

    return address[: max(needed, 16)]


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        raise SyscallRefused(ctypes.get_errno())


def _refuse(_thread: int, _arguments: tuple[int, ...]) -> int:
    raise SyscallRefused(errno.EPERM)
