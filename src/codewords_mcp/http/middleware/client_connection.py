"""The client's side of one exchange: its body as it comes, and whether it is still there.

ASGI has one `receive` for both. Whoever only reads the body never learns that the client hung up while the run
waited in the queue; so one task reads ahead, and ends the block that serves the request when the client is gone.
Once the body is whole, the connection itself tells (`HANG_UPS`), where it is one of our protocol: a task for each
request costs more than all that it would learn.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from starlette.types import Message, Receive, Scope, Send

from codewords_mcp.errors import BodyTooLarge, CodewordsError, InvalidInput, RunCancelled
from codewords_mcp.http.middleware.headers import Headers, content_length
from codewords_mcp.http.middleware.protocol import HANG_UPS

READ_AHEAD = 1 << 20
"""Bytes kept before the client is made to wait. A hang-up behind more than this is seen when the body is read on."""


class ClientGoneError(Exception):
    """The client hung up: nobody is left to answer."""


class ClientConnection:
    """Use as `async with`. The block is cancelled and left with an error if the client is gone.

    The error is `ClientGoneError` if the client hung up or takes nothing of what `send` sends, and
    `BodyTooLarge` if its body exceeds `limit` bytes. A body of a declared size up to `READ_AHEAD` is
    read before the block begins. `body_first`: the block begins after the first piece of the body.
    `hang_ups` is `hang_ups_of(scope)`; without it a task listens until the block ends. `comes_again`: the client repeats its
    request if it gets no answer, so that the block goes on without it once the body is whole.
    """

    def __init__(
        self,
        receive: Receive,
        headers: Headers,
        *,
        limit: int,
        setting: str = "CODEWORDS_MAX_BODY",
        body_first: bool = False,
        hang_ups: set[Callable[[], None]] | None = None,
        comes_again: bool = False,
    ) -> None:
        self._receive = receive
        self._body_first = body_first
        self._hang_ups = hang_ups
        self._comes_again = comes_again
        self._watcher: asyncio.Task[None] | None = None
        self._limit = limit
        self._setting = setting
        self._declared = content_length(headers)
        self._chunks: deque[bytes] = deque()
        self._held = self._total = 0
        self._complete = False
        self._answered = False
        self._broken: CodewordsError | None = None
        self._gone = False
        self._sending_since: float | None = None
        self._stall: asyncio.TimerHandle | None = None
        # Made where something waits for a piece, or for room for one: a body that is here needs neither.
        self._readable: asyncio.Event | None = None
        self._roomy: asyncio.Event | None = None

    async def __aenter__(self) -> Self:
        """Start watching. Raises BodyTooLarge for a declared size over the limit, before a byte is read; ClientGoneError."""
        if self._declared is not None and self._declared > self._limit:
            raise too_large(self._limit, self._setting)

        # A client that sends slowly must not hold a slot of the queue meanwhile.
        if self._declared is not None and self._declared <= READ_AHEAD:
            await self._read_whole()
        elif self._body_first and not self._read(await self._receive()):
            # Mostly the first piece has arrived already. Of many requests at once, each is then
            # read and handed on in one turn of the loop, instead of all being read first.
            raise ClientGoneError

        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine always runs in a task
        self._task = task
        # How many cancellations were there before ours, to tell them apart at the end.
        self._cancelling = task.cancelling()
        # No await since the last `receive`: a connection that was lost before it would have ended the block already.
        if self._hang_ups is not None and self._complete:
            self._hang_ups.add(self._hang_up)
        else:
            self._watcher = asyncio.create_task(self._watch())

        return self

    async def _read_whole(self) -> None:
        """Take in a body that is small enough to be kept, so that whoever waits for it holds nothing meanwhile."""
        while not self._complete:
            if not self._read(await self._receive()):
                raise ClientGoneError
            if self._broken is not None:
                raise self._broken

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Turn our own cancellation into ClientGoneError and leave another's as it is, as `asyncio.timeout` does."""
        if self._watcher is None:
            assert self._hang_ups is not None  # noqa: S101  # one of the two watches
            self._hang_ups.discard(self._hang_up)
        else:
            self._watcher.cancel()
            # a cancelled task keeps its frames, which refer to this: only the collector would free the request
            self._watcher = None

        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

        if not self._gone:
            return

        # `uncancel` takes our own cancellation back; what remains came from somebody else.
        others = self._task.uncancel() > self._cancelling
        if error is not None and not others:
            raise ClientGoneError from None

    async def send(self, send: Send, message: Message, stall_timeout: float) -> None:
        """Send a message. A client that takes nothing for `stall_timeout` seconds counts as gone."""
        loop = asyncio.get_running_loop()
        self._sending_since = loop.time()
        # One timer for all pieces of a response: a timeout for each costs more than sending it.
        if self._stall is None:
            self._stall = loop.call_later(stall_timeout, self._look, stall_timeout)
        await send(message)
        self._sending_since = None

    def _look(self, stall_timeout: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._sending_since is None:
            since = now
        else:
            since = self._sending_since

        if now - since >= stall_timeout:
            self._gone = True
            self._task.cancel()
        else:
            self._stall = loop.call_later(since + stall_timeout - now, self._look, stall_timeout)

    def answered(self) -> None:
        """The answer is whole; a client that leaves now cancels nothing."""
        self._answered = True

    def whole(self) -> bytes | None:
        """Take the body, if all of it is here."""
        if not self._complete or self._broken is not None:
            return None
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises what ended it early: BodyTooLarge, RunCancelled when the client hung up."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                # There is room again for what the client sends, of which only so much is held.
                if self._roomy is not None:
                    self._roomy.set()
                yield chunk

            if self._broken is not None:
                raise self._broken
            if self._complete:
                return

            self._readable = asyncio.Event()
            await self._readable.wait()

    async def _watch(self) -> None:
        while self._broken is None:
            # The server then stops reading the socket, so TCP slows the client down.
            while self._held > READ_AHEAD and not self._complete:
                self._roomy = asyncio.Event()
                await self._roomy.wait()
            if not self._read(await self._receive()):
                return self._hang_up()
        return None

    def _read(self, message: Message) -> bool:
        """Take in a piece of the body; False where the client hung up instead."""
        if message["type"] != "http.request":
            return False
        if self._complete:
            return True

        chunk: bytes = message.get("body", b"")
        self._total += len(chunk)
        if self._total > self._limit:
            self._break(too_large(self._limit, self._setting))
            return True

        if chunk:
            self._chunks.append(chunk)
            self._held += len(chunk)

        self._complete = not message.get("more_body", False)
        # A client that died in the middle must not pass for one that is done.
        if self._complete and self._declared not in {None, self._total}:
            self._break(not_whole(self._total, self._declared))
        if self._readable is not None:
            self._readable.set()
        return True

    def _break(self, failure: CodewordsError) -> None:
        self._broken = failure
        if self._readable is not None:
            self._readable.set()

    def _hang_up(self) -> None:
        # The client may leave once it has its answer; that cancels nothing.
        if self._answered or (self._comes_again and self._complete):
            return
        if not self._complete:
            self._break(RunCancelled("The caller hung up before its request was whole."))
        self._gone = True
        self._task.cancel()


def hang_ups_of(scope: Scope) -> set[Callable[[], None]] | None:
    """Return the set of what the loss of this request's connection calls; None under another server's protocol."""
    return scope.get("state", {}).get(HANG_UPS)


def not_whole(came: int, declared: int | None) -> InvalidInput:
    """The refusal of a body that is not as long as its request declares."""
    return InvalidInput(
        f"The request's body ended after {came} of {declared} bytes.", hint="Send it again, whole."
    )


def too_large(limit: int, setting: str = "CODEWORDS_MAX_BODY") -> BodyTooLarge:
    """The refusal of a body over `limit` bytes; `setting` is what raises the limit."""
    return BodyTooLarge(
        f"The body is larger than {limit:,} bytes, the most that this runtime takes here.",
        hint=f"POST /file makes room for a file: PUT the data to its `upload_uri`, and send its `download_uri` instead. "
        f"Or raise {setting}.",
    )
