"""The compiled code of the scripts that one fork server runs, as its forks sent it (`inside.program_code`).

The runtime never loads it. It passes it on to other forks of the same server that run the same script.
"""

from __future__ import annotations

from typing import Final

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

    def add(self, script: str, compiled: bytes) -> None:
        """Keep a script's compiled code; b"" if there is none."""
        self._by_script[script] = compiled
        if len(self._by_script) > MAX_SCRIPTS:
            del self._by_script[next(iter(self._by_script))]
