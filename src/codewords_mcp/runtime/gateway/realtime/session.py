"""A session in the middle between a caller and a provider."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.gateway.realtime.events import Message, SessionEvents, event_of

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

POLICY_VIOLATION: Final = 1008
"""Close code of a session that a budget ended (RFC 6455)."""
SETUP_TIMEOUT: Final = 30.0
"""Seconds in which a caller has to send the first message of a session that needs one."""
_MAX_REASON: Final = 123


class RealtimeSession:
    """A session. `receive` and `send` may run at once; `close` ends it in any state. `on_close` is called once then."""

    def __init__(
        self, connection: ClientConnection, events: SessionEvents, on_close: Callable[[], None]
    ) -> None:
        self.run_id = ""
        self.subprotocol: str | None = None
        self.close_code = 1000
        self.close_reason = ""
        self._connection = connection
        self._events = events
        self._on_close: Callable[[], None] | None = on_close
        self._refusal: CodewordsError | None = None
        """The reason for which the session has to end; told where the caller reads next."""
        self._ended = False
        self._clock = asyncio.create_task(self._run_clock())

    async def _run_clock(self) -> None:
        try:
            await self._events.run()
        except CodewordsError as error:
            await self._refuse(error)

    async def _refuse(self, error: CodewordsError) -> None:
        """End the session at the provider; `receive` tells the caller why."""
        self._refusal = error
        await self._connection.close()

    async def receive(self) -> Message | None:
        """The provider's next message; None when the session is over."""
        from websockets.exceptions import ConnectionClosed

        if self._ended:
            return None
        try:
            message = await self._connection.recv()
            await self._events.received(message)
        except ConnectionClosed as error:
            if self._refusal is not None:
                return await self._end(self._refusal)
            # Without a close frame the connection broke; 1006, which says so, must not be sent on
            # (RFC 6455, 7.4.1).
            self.close_code, self.close_reason = 1011, "The provider's connection broke."
            if error.rcvd is not None:
                self.close_code, self.close_reason = error.rcvd.code, error.rcvd.reason
            return None
        except CodewordsError as error:
            return await self._end(error)
        return message

    async def send_first(self, message: str) -> None:
        """Send the message with which the session was opened."""
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):
            await self._connection.send(message)

    async def send(self, message: Message) -> None:
        """Pass a caller's message on. One that cannot be paid for, or that is none, ends the session."""
        from websockets.exceptions import ConnectionClosed

        if self._ended or self._refusal is not None:
            return
        event = event_of(message)
        try:
            if not event:
                raise InvalidInput("A message of a realtime session is a JSON object.")
            await self._events.sent(event)
        except CodewordsError as error:
            await self._refuse(error)
            return

        with suppress(ConnectionClosed):
            # As it was read: a field that is named twice may mean one thing here and another there.
            await self._connection.send(to_json(event).decode())

    async def _end(self, error: CodewordsError) -> Message | None:
        """End the session. Returns the message that tells the caller why, if there is one."""
        self._ended = True
        self.close_code, self.close_reason = POLICY_VIOLATION, reason_of(error)
        await self._connection.close()
        return self._events.refusal(error)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session, and count what was running at its reservation."""
        self._ended = True
        self._clock.cancel()
        try:
            await self._connection.close(code, reason)
        finally:
            self._events.release()
            on_close, self._on_close = self._on_close, None
            if on_close is not None:
                on_close()


class DeferredSession:
    """A session that is opened when its first message has come, which names the model. See `RealtimeSession`."""

    def __init__(
        self,
        open_with: Callable[[Message], Awaitable[RealtimeSession]],
        *,
        setup_timeout: float = SETUP_TIMEOUT,
    ) -> None:
        self.run_id = ""
        self.subprotocol: str | None = None
        self._close_code, self._close_reason = 1000, ""
        self._open_with = open_with
        self._setup_timeout = setup_timeout
        self._session: RealtimeSession | None = None
        self._decided = asyncio.Event()
        """The session is open, or was refused."""

    @property
    def close_code(self) -> int:
        """See `RealtimeSession`."""
        return self._session.close_code if self._session is not None else self._close_code

    @property
    def close_reason(self) -> str:
        """See `RealtimeSession`."""
        return self._session.close_reason if self._session is not None else self._close_reason

    async def receive(self) -> Message | None:
        """The provider's next message; None when the session is over, or was not opened."""
        try:
            async with asyncio.timeout(None if self._decided.is_set() else self._setup_timeout):
                await self._decided.wait()
        except TimeoutError:
            self._refuse(InvalidInput("The first message of the session did not come in time."))
        return None if self._session is None else await self._session.receive()

    async def send(self, message: Message) -> None:
        """Open the session with the caller's first message, and pass the others on."""
        if self._session is not None:
            await self._session.send(message)
        elif not self._decided.is_set():
            try:
                self._session = await self._open_with(message)
            except CodewordsError as error:
                self._refuse(error)
            self._decided.set()

    def _refuse(self, error: CodewordsError) -> None:
        self._close_code, self._close_reason = POLICY_VIOLATION, reason_of(error)
        self._decided.set()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session."""
        self._decided.set()
        if self._session is not None:
            await self._session.close(code, reason)


def reason_of(error: CodewordsError) -> str:
    """The reason in a close frame, of at most 123 bytes (RFC 6455, 5.5)."""
    return f"{error.code}: {error}".encode()[:_MAX_REASON].decode("utf-8", "ignore")
