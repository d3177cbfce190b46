"""Landlock by its system calls: which files this process and all it starts may still reach, and which TCP ports.

See landlock(7). Everything that the kernel's version knows is refused unless a rule allows it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from typing import Final

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446
_CREATE_VERSION: Final = 1
_RULE_PATH, _RULE_PORT = 1, 2
_CONNECT_TCP: Final = 1 << 1
_BIND_AND_CONNECT_TCP: Final = 0b11
_ABSTRACT_AND_SIGNALS: Final = 0b11

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = (1 << bit for bit in range(13, 16))
_OF_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_SINCE: Final = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))

READ: Final = EXECUTE | READ_FILE | READ_DIR
DEVICE: Final = READ_FILE | WRITE_FILE
OWN: Final = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE
)

_libc = ctypes.CDLL(None, use_errno=True)


def abi() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    return max(
        0, _libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint(_CREATE_VERSION))
    )


def restrict(rules: list[tuple[str, int]], ports: list[int], version: int) -> None:
    """Give up all files but those below the rules' paths (path, rights), and TCP but for connections to `ports`.

    A path that is not there needs no rule. Needs no_new_privs. Raises OSError.
    """
    # The thirteen rights of version 1. A right that the kernel does not know would be an error.
    known = (1 << 13) - 1
    for since, right in _SINCE:
        known |= right if version >= since else 0
    ruleset = _create(known, version)
    try:
        for path, rights in rules:
            # What cannot be opened cannot be allowed either, and stays refused.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _allow_path(ruleset, path, rights & known)

        for port in ports:
            _call(_ADD_RULE, "landlock port", ruleset, _RULE_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        _call(_RESTRICT, "landlock", ruleset, 0)
    finally:
        os.close(ruleset)


def _create(files: int, version: int) -> int:
    attributes = struct.pack("=QQ", files, _BIND_AND_CONNECT_TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _ABSTRACT_AND_SIGNALS)
    return _call(_CREATE, "landlock ruleset", attributes, len(attributes), 0)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        # Rights over folders' entries are an error in a rule for a file.
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, f"landlock rule for {path}", ruleset, _RULE_PATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)


def _call(number: int, step: str, *arguments: bytes | int) -> int:
    passed = [ctypes.c_long(argument) if isinstance(argument, int) else argument for argument in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code or errno.EINVAL, f"{step}: {os.strerror(code)}")
    return result
