"""Lines that are typed while something else goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import Final

_LOOK_AGAIN_S: Final = 1.0
"""Seconds after which a process in the background looks whether it is in the foreground again."""


class TypedLines:
    """Lines of stdin. A question takes the next line; else `next` returns it. `by_person`: a person can be asked."""

    def __init__(self) -> None:
        self.by_person = sys.stdin.isatty() and sys.stdout.isatty()
        self._fd = -1
        self._rest = b""
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._questions: list[asyncio.Future[str]] = []

    def open(self) -> None:
        """Begin to read. Where stdin can't be waited for, as a file can't, no line ever comes."""
        with suppress(OSError, ValueError, NotImplementedError):
            self._fd = sys.stdin.fileno()
            asyncio.get_running_loop().add_reader(self._fd, self._read)

    def close(self) -> None:
        """Read no more."""
        if self._fd >= 0:
            with suppress(OSError, ValueError, NotImplementedError):
                asyncio.get_running_loop().remove_reader(self._fd)
            self._fd = -1

    async def next(self) -> str:
        """The next line that answers no question."""
        return await self._lines.get()

    async def answer(self) -> str:
        """The next line that is typed from now on."""
        question: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._questions.append(question)
        try:
            return await question
        finally:
            # A question whose asker was cancelled must not take a line that is typed later.
            if question in self._questions:
                self._questions.remove(question)

    def _read(self) -> None:
        if not self._in_foreground():
            # Reading would stop this process, as any in the background that reads its terminal.
            self.close()
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self.open)
            return
        try:
            data = os.read(self._fd, 4096)
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text = line.decode(errors="replace")
            if self._questions:
                self._questions.pop(0).set_result(text)
            else:
                self._lines.put_nowait(text)

    def _in_foreground(self) -> bool:
        """Whether stdin may be read: it is no terminal, or this process is in its foreground."""
        if sys.platform == "win32":
            return True
        try:
            return not os.isatty(self._fd) or os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True
