"""`compileall` that leaves no file half-written where the disk is full. Run as a program, by any Python, for itself.

CPython until 3.13 does not look how much of a file was written: a full disk cuts bytecode off without a word, and whatever
imports it fails for ever. Standard library only; where processes are spawned, each of them runs this file first.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib._bootstrap_external as bootstrap
import os
import sys


def write_whole(path: str, data: bytes, mode: int = 0o666) -> None:
    """All of it, or OSError and nothing."""
    beside = f"{path}.{os.getpid()}"
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, mode & 0o666)) as file:
            file.write(data)
        os.replace(beside, path)  # noqa: PTH105  # a module fewer to import
    except OSError as error:
        # With -qq compileall counts an OSError as a failed file and says nothing about it.
        sys.stderr.write(f"{error.strerror}\n")
        with contextlib.suppress(OSError):
            os.unlink(beside)  # noqa: PTH108
        raise


bootstrap._write_atomic = write_whole  # noqa: SLF001  # what py_compile calls  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]

if __name__ == "__main__":
    sys.exit(not compileall.main())  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
