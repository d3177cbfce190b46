"""A program's output: two pipes read by the event loop into a bounded buffer."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator

from codewords_mcp.runtime.sandboxes.base import OutputChunk, Stream

HIGH_WATER = 256 << 10
"""Bytes kept unread; over it the pipes are left full, which makes the program wait."""
_CHUNK = 64 << 10
# The size to which an ordinary user may enlarge a pipe (/proc/sys/fs/pipe-max-size).
_MAX_PIPE = 1 << 20
# Bytes that a chunk costs beside its data, so that a program writing single letters is bounded too.
_OVERHEAD = 128


class ProgramOutput:
    """Both streams of one program, in the order in which they were read."""

    def __init__(self) -> None:
        self._chunks: deque[OutputChunk] = deque()
        self._buffered = 0
        self._changed = asyncio.Event()
        self._ended = False
        self._reading = False
        self._pipes: dict[int, Stream] = {}

    def open(self) -> tuple[int, int]:
        """Make the pipes; returns the ends for the program's stdout and stderr, which the caller closes."""
        ends: list[int] = []
        streams: tuple[Stream, ...] = ("stdout", "stderr")
        for stream in streams:
            read, write = os.pipe2(os.O_CLOEXEC)
            # The event loop reads; the program's ends stay blocking, which makes it wait.
            os.set_blocking(read, False)
            self._pipes[read] = stream
            ends.append(write)
        return ends[0], ends[1]

    def start(self) -> None:
        """Begin reading."""
        if self._reading:
            return
        self._reading = True
        loop = asyncio.get_running_loop()
        for fd in self._pipes:
            loop.add_reader(fd, self._on_readable, fd)

    def write_platform_line(self, text: str) -> None:
        """A line of the platform's own among the program's."""
        self._append("platform", text.encode() + b"\n")

    def finish(self) -> None:
        """The program's processes are gone: take what the pipes still hold (at most 1 MiB each) and end. Idempotent."""
        self._pause()
        for fd, stream in self._pipes.items():
            with contextlib.suppress(BlockingIOError):
                # Bounded by the pipe's size: a descendant that escaped could write for ever.
                for _ in range(_MAX_PIPE // _CHUNK):
                    self._append(stream, os.read(fd, _CHUNK))
            os.close(fd)
        self._pipes.clear()
        self._ended = True
        self._changed.set()

    async def chunks(self) -> AsyncIterator[OutputChunk]:
        """Until `finish`. One consumer."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered -= len(chunk.data) + _OVERHEAD
                # Only when half is read: else reading would start and stop with every chunk.
                if self._buffered <= HIGH_WATER // 2 and not self._reading and self._pipes:
                    self.start()
                yield chunk

            if self._ended:
                return

            self._changed.clear()
            await self._changed.wait()

    def _append(self, stream: Stream, data: bytes) -> None:
        if not data:
            return
        self._chunks.append(OutputChunk(stream, data))
        self._buffered += len(data) + _OVERHEAD
        self._changed.set()
        # The pipes stay full, and the program waits in its write.
        if self._buffered > HIGH_WATER:
            self._pause()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            loop = asyncio.get_running_loop()
            for fd in self._pipes:
                loop.remove_reader(fd)

    def _on_readable(self, fd: int) -> None:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        if data:
            self._append(self._pipes[fd], data)
        else:
            # The end of one stream; the other goes on.
            asyncio.get_running_loop().remove_reader(fd)
            del self._pipes[fd]
            os.close(fd)
