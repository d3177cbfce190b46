"""The other end of a detached start: who waits to hear that the runtime is up, or why it is not."""

from __future__ import annotations

import os
from contextlib import suppress

from codewords_mcp.stdio import home


class Starter:
    """Process that started this one detached, at the other end of a pipe named in the environment; there may be none."""

    def __init__(self) -> None:
        # Taken out of the environment: a child process must not write to that descriptor.
        named = os.environ.pop(home.READY_FD, "")
        self._fd = int(named) if named.isdigit() else -1
        if self._fd >= 0:
            try:
                os.set_inheritable(
                    self._fd, False
                )  # a sandbox that had it too would keep the starter waiting
            except OSError:
                self._fd = -1

    def ready(self) -> None:
        """The runtime listens and is published."""
        self._say("ready")

    def failed(self, why: str) -> None:
        """The runtime does not come up."""
        self._say("failed " + " ".join(why.split()))

    def _say(self, word: str) -> None:
        if self._fd < 0:
            return
        with suppress(OSError):  # it may have given up
            os.write(self._fd, f"{word}\n".encode())
        os.close(self._fd)
        self._fd = -1
