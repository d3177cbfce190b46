"""Lines of a log on their way to whoever follows it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from codewords_mcp.runtime.model.log_text import Line


class LogBatch:
    """Lines of a log that come at once, one or more: the same object for each of its followers, and not to be changed."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self._forms: dict[str, list[bytes]] = {}

    def form(self, name: str, make: Callable[[list[Line]], list[bytes]]) -> list[bytes]:
        """What `make` gives for the lines. It is asked once for each name, however many followers want it."""
        made = self._forms.get(name)
        if made is None:
            made = self._forms[name] = make(self.lines)
        return made

    def after(self, stamp: str | None) -> LogBatch:
        """The lines later than this time; itself where that is all of them."""
        if stamp is None or self.lines[0][0] > stamp:
            return self
        return LogBatch(self.lines[bisect_right(self.lines, stamp, key=lambda line: line[0]) :])
