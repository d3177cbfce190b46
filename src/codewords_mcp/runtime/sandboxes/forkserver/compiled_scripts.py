"""The compiled code of the scripts that one fork server runs, as its forks sent it (`inside.program_code`).

The runtime never loads it. It passes it on to other forks of the same server that run the same script.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from codewords_mcp.runtime.sandboxes.namespaces.inside.program_code import MAX_BYTES

MAX_SCRIPTS: Final = 64


class CompiledScripts:
    """Those that were used last."""

    def __init__(self) -> None:
        self._by_script: dict[str, bytes] = {}

    def get(self, script: str) -> bytes | None:
        """A script's compiled code; b"" if programs have to compile it themselves, None if no fork was asked yet."""
        compiled = self._by_script.pop(script, None)
        if compiled is not None:
            # Put last: the order of use is the order of the dictionary.
            self._by_script[script] = compiled
        return compiled

    def add(self, script: str, fds: list[int]) -> None:
        """Keep what is in the file that came from a sandbox. Without one, or with another than was agreed: that there is none."""
        self._by_script[script] = b"".join(_read(fd) for fd in fds[:1])
        if len(self._by_script) > MAX_SCRIPTS:
            del self._by_script[next(iter(self._by_script))]


def _read(fd: int) -> bytes:
    info = os.fstat(fd)
    # To read from anything else could block.
    if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_BYTES:
        return b""
    return os.pread(fd, MAX_BYTES, 0)
