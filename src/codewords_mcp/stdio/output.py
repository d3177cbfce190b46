"""The two ways out of the front: stdout for JSON-RPC and nothing else, stderr for people."""

from __future__ import annotations

import os
import sys
from threading import Lock


class ProtocolOutput:
    """Stdout as the protocol's wire. Whatever else prints there ends on stderr from now on."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wire = os.dup(1)
        os.dup2(2, 1)
        self.gone = False
        """Set once the chat host no longer reads."""

    def line(self, message: bytes) -> None:
        """Write one message; a whole line, whoever else writes at the same time."""
        left = memoryview(message + b"\n")
        with self._lock:
            try:
                while left:
                    left = left[os.write(self._wire, left) :]
            except OSError:
                self.gone = True


def say(text: str) -> None:
    """A sentence for the person who reads the chat host's log of this server."""
    try:
        sys.stderr.write(f"codewords-mcp: {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # a host may have closed it
