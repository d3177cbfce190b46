"""Runs a command where no namespace can be made, as in most containers: a system call filter denies them.

Arguments: the command. `--without-landlock` before it makes Landlock unknown too.
"""

from __future__ import annotations

import errno
import os
import platform
import struct
import sys

from codewords_mcp.runtime.sandboxes.namespaces.inside import linux, syscalls

_LOAD, _JEQ, _JSET, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NUMBER, _FIRST_ARGUMENT = 0, 16


def assemble(*, landlock: bool) -> bytes:
    """Refuse unshare, setns and clone with new namespaces; clone3 is unknown, since its flags can't be read."""
    table = syscalls.numbers(platform.machine())
    program = [(_LOAD, 0, 0, _NUMBER)]
    refused = {"unshare": errno.EPERM, "setns": errno.EPERM, "clone3": errno.ENOSYS}
    if not landlock:
        refused["landlock_create_ruleset"] = errno.ENOSYS
    for name, code in refused.items():
        program += [(_JEQ, 0, 1, table[name]), (_RETURN, 0, 0, _ERRNO | code)]

    program += [
        (_JEQ, 0, 3, table["clone"]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JSET, 0, 1, linux.ALL_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", code, yes, no, value) for code, yes, no, value in program)


def main() -> None:
    """Install the filter, which all children inherit, and become the command."""
    command = sys.argv[1:]
    landlock = command[0] != "--without-landlock"
    if not landlock:
        del command[0]

    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.load_seccomp(assemble(landlock=landlock))
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
