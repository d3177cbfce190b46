"""Forks straight into a cgroup of v2, so that no process waits to be moved there, and forks that choose the child's number.

Neither Python nor its C library offers what clone3(2) has for that, CLONE_INTO_CGROUP and `set_tid`. Around the system call
this does what their fork() does, in a process of one thread. Left out are glibc's locks, which no other thread can hold, and
handlers of pthread_atfork(3): see design note 013.
"""

from __future__ import annotations

import _thread
import ctypes
import errno
import os
import platform
import signal
import struct
from typing import Final, NamedTuple

_CLONE_CHILD_CLEARTID: Final = 0x0020_0000
_CLONE_CHILD_SETTID: Final = 0x0100_0000
_CLONE_INTO_CGROUP: Final = 0x2_0000_0000
_PR_GET_TID_ADDRESS: Final = 40
_SYS_CLONE3: Final = 435
# Numbers of set_robust_list(2) and get_robust_list(2).
_SYS_ROBUST_LIST: Final = {"x86_64": (273, 274), "aarch64": (99, 100)}
# Errors of a fork itself: of a limit of processes, and of memory.
_REAL: Final = (errno.EAGAIN, errno.ENOMEM)
# A sigset_t of glibc.
_ALL_SIGNALS: Final = b"\xff" * 128

# Holds the interpreter's lock: nothing of Python may run between the call and `PyOS_AfterFork_Child`.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_libc.pthread_self.restype = ctypes.c_ulong
_before, _after_in_child, _after_in_parent = (
    ctypes.pythonapi.PyOS_BeforeFork,
    ctypes.pythonapi.PyOS_AfterFork_Child,
    ctypes.pythonapi.PyOS_AfterFork_Parent,
)
for _function in (_before, _after_in_child, _after_in_parent):
    _function.argtypes, _function.restype = (), None


class Fork(NamedTuple):
    """The child's number, 0 in the child itself; whether the child began in the group."""

    pid: int
    entered: bool


def fork_in(group: str | None, below: int | None = None) -> Fork:
    """Fork this process, which has one thread, into a cgroup of v2. `below`: the folder's descriptor that the path starts at.

    Where that can't be had the child begins in this process's group: without a group, with another C library than glibc,
    before Linux 5.7, without the right to write to `cgroup.procs` of the group and of the nearest one above both.
    Raises OSError where no process can be made.
    """
    if group is None:
        return Fork(os.fork(), False)

    try:
        folder = os.open(group, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=below)
        try:
            return Fork(_clone(_CLONE_INTO_CGROUP, folder=folder), True)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in _REAL:
            raise
    return Fork(os.fork(), False)


def fork_numbered(number: int) -> int:
    """Fork this process, which has one thread, into a child that has this number in its pid namespace.

    Returns what os.fork() does. Raises OSError: with another C library than glibc, before Linux 5.5, without CAP_SYS_ADMIN over
    the namespace, where the number is taken.
    """
    return _clone(number=number)


def _clone(flags: int = 0, *, folder: int = 0, number: int | None = None) -> int:
    """Raises OSError. `folder`: the cgroup's descriptor."""
    address = _thread_id_address()
    if not address:
        raise OSError(errno.ENOSYS, "the C library's record of the thread is not known")
    set_robust_list, get_robust_list = _SYS_ROBUST_LIST[platform.machine()]
    head, length = ctypes.c_void_p(), ctypes.c_size_t()
    _syscall(ctypes.c_long(get_robust_list), ctypes.c_int(0), ctypes.byref(head), ctypes.byref(length))
    numbers = (ctypes.c_int32 * 1)(number or 0)
    chosen = (ctypes.addressof(numbers), 1) if number is not None else (0, 0)
    flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    arguments = struct.pack("=11Q", flags, 0, address, 0, signal.SIGCHLD, 0, 0, 0, *chosen, folder)
    unblocked = ctypes.create_string_buffer(len(_ALL_SIGNALS))
    # A handler that ran in the child before Python knows of the fork would act as the parent.
    _libc.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS, unblocked)

    try:
        _before()
        pid: int = _syscall(ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(len(arguments)))
        if pid == 0:
            _after_in_child()
            # The kernel forgets it in a fork; mutexes between processes depend on it.
            _syscall(ctypes.c_long(set_robust_list), head, length)
        else:
            _after_in_parent()
    finally:
        _libc.pthread_sigmask(signal.SIG_SETMASK, unblocked, None)

    if pid < 0:
        raise OSError(ctypes.get_errno(), f"clone3: {os.strerror(ctypes.get_errno())}")
    return pid


def _thread_id_address() -> int:
    """The address of glibc's own record of this thread's number, which the kernel writes in a child; 0 if it isn't known."""
    if platform.machine() not in _SYS_ROBUST_LIST:
        return 0
    address = ctypes.c_ulong()
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0):
        # A kernel without CONFIG_CHECKPOINT_RESTORE. glibc 2.34 and later say the place to debuggers: bits, number, offset.
        try:
            place = (ctypes.c_uint32 * 3).in_dll(_libc, "_thread_db_pthread_tid")
        except ValueError:
            return 0
        address.value = _libc.pthread_self() + place[2]
    # Another C library may keep something else there.
    recorded = ctypes.c_int.from_address(address.value).value if address.value else 0
    return address.value if recorded == _thread.get_native_id() else 0
