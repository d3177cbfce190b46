"""A text stream for a log that may fail: a full disk, a closed terminal, or a pipe whose reader stopped."""

from __future__ import annotations

import io
import json
import os
import select
import stat
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from typing_extensions import override

READER_TIMEOUT = 1.0
"""Seconds that a write waits for the reader of a full pipe or terminal. Once a line is lost, later ones do not wait."""
_PIPE_CHUNK = 4096
"""Bytes that a pipe takes without blocking where it is writable at all (PIPE_BUF on Linux)."""


class LogStream(io.TextIOBase):
    """Writes to `stream` at once, and never raises. Text that cannot be written is dropped and counted.

    The first text that can be written again is preceded by a line with the number of lost lines and the reason.
    """

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType]  # read-only in the base, and None
    errors = "backslashreplace"  # pyright: ignore[reportAssignmentType]

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__()
        self._stream = stream
        self._fd = _descriptor_of(stream)
        self._may_block = self._fd >= 0 and not stat.S_ISREG(os.fstat(self._fd).st_mode)
        # Reentrant: a destructor may report an error while this thread writes.
        self._lock = threading.RLock()
        self._torn = False
        """The last line was written in part."""
        self.lost_lines = 0
        """Lines that were lost since the last report of lost lines."""
        self._reason = ""
        """The reason of the last loss; "" if nothing was lost since the last report."""

    @override
    def write(self, text: str, /) -> int:
        with self._lock:
            try:
                if self._reason:
                    self._report_loss()
                self._send(text)
            except (OSError, ValueError) as error:  # ValueError: the stream is closed
                self.lost_lines += text.count("\n")
                self._reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return len(text)

    def _report_loss(self) -> None:
        """Raises as `_send` does; the loss then remains to be reported."""
        event = {
            "event": "log lines lost", "lines": self.lost_lines, "reason": self._reason, "level": "warning",
            "timestamp": datetime.now(UTC).isoformat(),
        }  # fmt: skip
        # A line that was written in part must not swallow the report.
        start = "\n" if self._torn else ""
        self._send(f"{start}{json.dumps(event)}\n")
        self.lost_lines, self._reason = 0, ""

    def _send(self, text: str) -> None:
        """Raises OSError and ValueError."""
        if self._fd < 0:
            if self._stream is not None:
                self._stream.write(text)
                self._stream.flush()
            return

        # Not through the stream: its buffer would hold a refused line and raise again for it later.
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        while data:
            if self._may_block:
                self._wait_for_reader()
                written = os.write(self._fd, data[:_PIPE_CHUNK])
            else:
                written = os.write(self._fd, data)
            data = data[written:]
            self._torn = bool(data)

    def _wait_for_reader(self) -> None:
        """Raises BlockingIOError where nobody reads."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0 if self._reason else READER_TIMEOUT * 1000):
            raise BlockingIOError("nobody reads it")

    @override
    def flush(self) -> None:
        """Nothing is buffered, so nothing can fail here."""

    @override
    def writable(self) -> bool:
        return True

    @override
    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    @override
    def fileno(self) -> int:
        if self._fd < 0:
            raise io.UnsupportedOperation("fileno")
        return self._fd


def _descriptor_of(stream: TextIO | None) -> int:
    """The stream's descriptor; -1 where it has none."""
    if stream is not None:
        with suppress(OSError, ValueError):  # io.UnsupportedOperation is both
            return stream.fileno()
    return -1
