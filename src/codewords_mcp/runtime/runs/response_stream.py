"""The response of one execution on its way to the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.runs.results import WorkflowResponse

MAX_BUFFERED_CHUNKS = 8
"""Chunks that wait for a slow caller before the workflow is held back."""
HEAD_WAIT = 0.002
"""Seconds that a head waits for the first chunk, so that both reach the caller together."""


class ResponseStream:
    """`started` is the status and headers, or the error that came instead; `body` the bytes after it."""

    def __init__(self) -> None:
        self.started: asyncio.Future[WorkflowResponse] = asyncio.get_running_loop().create_future()
        self.started.add_done_callback(_retrieve)
        self._chunks: asyncio.Queue[bytes | CodewordsError | None] = asyncio.Queue(MAX_BUFFERED_CHUNKS)
        self._head: WorkflowResponse | None = None
        self._head_timer: asyncio.TimerHandle | None = None

    def start(self, response: WorkflowResponse) -> None:
        """Give status and headers to the caller, with the first chunk or shortly."""
        self._head = response
        self._head_timer = asyncio.get_running_loop().call_later(HEAD_WAIT, self._give_head)

    def _give_head(self) -> None:
        head, self._head = self._head, None
        if head is None or self._head_timer is None:
            return

        self._head_timer.cancel()
        if not self.started.done():
            self.started.set_result(head)

    async def put(self, chunk: bytes | None) -> None:
        """Pass on a chunk of the body, None for its end; waits while the caller is slow."""
        self._give_head()
        await self._chunks.put(chunk)

    def fail(self, error: CodewordsError) -> None:
        """Give the error to the caller, before or within the body."""
        self._give_head()
        if not self.started.done():
            self.started.set_exception(error)
        if self._chunks.full():
            # a caller that stopped reading gets the error instead of the chunk before it
            self._chunks.get_nowait()
        self._chunks.put_nowait(error)

    async def body(self, hang_up: Callable[[], Awaitable[None]]) -> AsyncIterator[bytes]:
        """Yield the body's bytes to one caller. `hang_up` is awaited if the caller stops before the end."""
        complete = False
        try:
            while (item := await self._chunks.get()) is not None:
                if isinstance(item, CodewordsError):
                    complete = True
                    raise item
                yield item

            complete = True
        finally:
            if not complete:
                await hang_up()


def _retrieve(future: asyncio.Future[WorkflowResponse]) -> None:
    # asyncio complains about an exception that nobody retrieved, and nobody need wait for this one
    if not future.cancelled():
        future.exception()
