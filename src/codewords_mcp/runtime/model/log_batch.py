"""Log lines on their way to the log's followers."""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Callable

from codewords_mcp.runtime.model.log_text import Line


class LogBatch:
    """One or more log lines that arrived together. All followers share the object, so it must not
    be changed.
    """

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._encoded: dict[str, list[bytes]] = {}

    def encoded(self, name: str, make: Callable[[list[Line]], list[bytes]]) -> list[bytes]:
        """The lines as encoded by `make`. It is called once for each `name`, however many followers
        need the result.
        """
        made = self._encoded.get(name)
        if made is None:
            made = self._encoded[name] = make(self.lines)
        return made

    def after(self, stamp: str | None) -> LogBatch:
        """The lines later than this time. Returns `self` if that is all of them."""
        if stamp is None or self.lines[0][0] > stamp:
            return self
        return LogBatch(self.lines[bisect_right(self.lines, stamp, key=operator.itemgetter(0)) :])
