"""A program's output on the host's side: kept until it is read, and said to have been read."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from codewords_mcp.runtime.sandboxes.base import OutputChunk
from codewords_mcp.runtime.sandboxes.e2b.protocol import STREAM_NAMES


class OutputBuffer:
    """Chunks by their number. `read(upto)` is called as they are consumed, which lets the program go on."""

    def __init__(self, read: Callable[[int], None]) -> None:
        self.have = 0
        """Chunks that came."""
        self._read = read
        self._chunks: deque[tuple[int, OutputChunk]] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, number: int, data: bytes) -> None:
        """One chunk; one that came before, over a connection that broke, is dropped."""
        # Numbers tell what was sent again after a reconnect.
        if number == self.have and not self._ended:
            self.have += 1
            self._append(OutputChunk(STREAM_NAMES.get(data[0], "stdout"), data[1:]))

    def say(self, text: str) -> None:
        """A line of the platform's own."""
        if not self._ended:
            self._append(OutputChunk("platform", text.encode() + b"\n"))

    def finish(self) -> None:
        """No more will come. Idempotent."""
        self._ended = True
        self._changed.set()

    async def chunks(self) -> AsyncIterator[OutputChunk]:
        """Until `finish`. One consumer."""
        while True:
            while self._chunks:
                upto, chunk = self._chunks.popleft()
                yield chunk
                # After the consumer has taken it: what is unread counts against the program's
                # window.
                self._read(upto)
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()

    def _append(self, chunk: OutputChunk) -> None:
        self._chunks.append((self.have, chunk))
        self._changed.set()
