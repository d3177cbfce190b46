"""The compiled code of a program: the first fork of a server that runs it compiles it, later ones get what that one sent.

A fork sends it before any code of the program runs, and its interpreter has run none of any program. So the code of a run
never comes from another run, only from Python's compiler.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import warnings
from types import CodeType
from typing import Final

from . import channel

MAX_BYTES: Final = 256 << 10
"""Compiled code that is longer is not kept."""


def load(compiled: bytes) -> CodeType | None:
    """The code that `send` sent; None for none."""
    if not compiled:
        return None
    code: CodeType = marshal.loads(compiled)  # noqa: S302  # from a fork of this same server
    return code


def compile_script(path: str) -> CodeType | None:
    """The script's code; None where the compiler refuses or warns, which it is to do each time, as the program."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # As `boot.run` does.
            with open(path, encoding="utf-8-sig", newline="") as file:
                code = compile(file.read(), path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            return None

    return None if caught else code


def send(runtime: socket.socket, code: CodeType | None, fd: int) -> None:
    """Answer a runtime that has no compiled code, in the empty file that it made for it, which this closes.

    No descriptor is sent: this process has a program's limits, and the kernel refuses one where programs of the same user
    have as many on their way.
    """
    data = marshal.dumps(code) if code is not None else b""
    written = 0
    if 0 < len(data) <= MAX_BYTES:
        # A limit of the program's may be smaller than its code.
        with contextlib.suppress(OSError):
            written = os.write(fd, data)
    os.close(fd)
    # Always, since the runtime takes only the first answer.
    channel.send(runtime, {"compiled": 0 < written == len(data)})
