"""Output of the stdio proxy: stdout for JSON-RPC and nothing else, stderr for people."""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock


class ProtocolOutput:
    """Stdout, reserved for the protocol. Other output to stdout goes to stderr from now on."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        _keep_bytes()
        # Done on file descriptors, not on sys.stdout: a library written in C that prints would
        # otherwise break the protocol.
        self._wire = os.dup(1)
        os.dup2(2, 1)
        self.gone = False
        """Set once the chat host no longer reads."""

    def line(self, message: bytes) -> None:
        """Write one message as a whole line, also while other threads write."""
        left = memoryview(message + b"\n")
        with self._lock:
            try:
                # A pipe may take a large message in parts.
                while left:
                    left = left[os.write(self._wire, left) :]
            except OSError:
                self.gone = True


def _keep_bytes() -> None:
    """On Windows, keep the bytes of stdin and stdout as they are: it would change the ends of lines."""
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)


def say(text: str) -> None:
    """Write a sentence to stderr, for the person who reads the chat host's log of this server."""
    try:
        sys.stderr.write(f"codewords-mcp: {text}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # a host may have closed it
