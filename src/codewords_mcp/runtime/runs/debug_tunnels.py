"""Connections of editors to the debuggers in sandboxes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from codewords_mcp.errors import NotFound


class DebugPipe(Protocol):
    """One end of a connection, as its front door has it."""

    async def receive(self) -> bytes | None:
        """The next bytes; None at the end."""
        ...

    async def send(self, data: bytes) -> None:
        """Pass bytes on. Raises OSError where the other side has gone."""
        ...


@dataclass(eq=False, slots=True)
class _Offer:
    """A bridge that waits for an editor. `program` is the path of the code in its sandbox."""

    sandbox_id: str
    program: str
    pipe: DebugPipe
    listening: asyncio.Task[bytes | None]
    """Ends when the bridge has gone. A bridge says nothing before an editor does."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class DebugTunnels:
    """Joins editors with bridges by the draft that both name. `draft_of(sandbox_id)`: the draft that is debugged there."""

    def __init__(self, draft_of: Callable[[str], str | None]) -> None:
        self._draft_of = draft_of
        self._offers: list[_Offer] = []
        self._offered = asyncio.Condition()

    async def offer(self, sandbox_id: str, program: str, pipe: DebugPipe) -> None:
        """Wait for an editor, and return when it has gone. Raises NotFound for a sandbox in which nothing is debugged."""
        if self._draft_of(sandbox_id) is None:
            raise NotFound("Nothing is debugged in this sandbox.")
        # Only a pipe that is read tells that its other end hung up.
        listening = asyncio.create_task(pipe.receive())
        offer = _Offer(sandbox_id, program, pipe, listening)
        listening.add_done_callback(lambda _: self._gone(offer))
        self._offers.append(offer)
        async with self._offered:
            self._offered.notify_all()
        try:
            await offer.ended.wait()
        finally:
            listening.cancel()
            self._gone(offer)

    def _gone(self, offer: _Offer) -> None:
        """End an offer that no editor has taken."""
        if offer in self._offers:
            self._offers.remove(offer)
            offer.ended.set()

    async def join(self, draft_id: str, pipe: DebugPipe, seconds: float) -> None:
        """Carry bytes between an editor and the debugger of a draft until either has gone.

        The first that the editor gets is the path of the program in its sandbox, and a line feed. Raises NotFound where
        none comes within these seconds.
        """
        offer = await self._next(draft_id, seconds)
        try:
            offer.listening.cancel()
            # Two readers of one pipe would each get a part of its bytes, so the first has to end
            # before `_carry`.
            await asyncio.gather(offer.listening, return_exceptions=True)
            # Its bridge went in the moment in which it was found: nobody would ever say that again.
            if not offer.listening.cancelled():
                raise _no_program()
            await pipe.send(f"{offer.program}\n".encode())
            tasks = {
                asyncio.create_task(_carry(pipe, offer.pipe)),
                asyncio.create_task(_carry(offer.pipe, pipe)),
            }
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            offer.ended.set()

    async def _next(self, draft_id: str, seconds: float) -> _Offer:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._offered:
                while True:
                    # Of a sandbox of older code the draft is not known any more.
                    for offer in [
                        offer for offer in self._offers if self._draft_of(offer.sandbox_id) == draft_id
                    ]:
                        self._offers.remove(offer)
                        return offer
                    await self._offered.wait()
        raise _no_program()


def _no_program() -> NotFound:
    return NotFound(
        "No program of this draft runs with a debugger.", hint="Serve it with one, and call it once."
    )


async def _carry(source: DebugPipe, target: DebugPipe) -> None:
    with suppress(OSError):
        while (data := await source.receive()) is not None:
            await target.send(data)
