"""HTTP/1.1 between a program and a host: each message is read whole in its framing and written anew, so that both sides
can only agree on where it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from http import HTTPStatus
from typing import Any, Final, cast

import h11

from codewords_mcp.runtime.egress.dial import DialFailed
from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.requests import Outgoing, RequestRefused, prepare
from codewords_mcp.runtime.egress.intercept.responses import AnswerScrubber, UnreadableResponse
from codewords_mcp.runtime.egress.intercept.session import LIMIT, HostUnreachable, InterceptSession, TlsStream
from codewords_mcp.runtime.egress.intercept.websocket import carry_websocket
from codewords_mcp.runtime.recording.recorder import MAX_BODY_BYTES, RecordedResponse

MAX_HEAD: Final = 64 << 10
"""Bytes of a message's head, of either side."""
_NOT_FOR_PROGRAM: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"alt-svc"}
)
"""`alt-svc` would offer it a way to the host that is not looked at."""
_LINGER: Final = 0.5
"""Seconds for a program to read an answer before the rest of its request is met by a reset."""
_CHUNK: Final = 64 << 10
_BEGINS: Final = b"HTTP/1."


class _End:
    """One side: a parser and the stream it reads from."""

    def __init__(self, wire: TlsStream, role: Any) -> None:
        self.wire = wire
        self.http = h11.Connection(role, max_incomplete_event_size=MAX_HEAD)

    async def next(self) -> Any:
        """The next event. Raises h11.RemoteProtocolError, OSError."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.wire.reader.read(_CHUNK))
        return event

    async def send(self, *events: Any) -> None:
        """In one piece, as far as they make one."""
        await self.wire.send(b"".join(cast("bytes", self.http.send(event)) for event in events))


class _Switched(Exception):  # an outcome, caught inside this room
    """Both sides speak something else from here on."""


def _phrase(status: int) -> bytes:
    """The usual reason phrase: a host's own may hold anything, a value among it, and means nothing (RFC 9112, 4)."""
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


class Http1:
    """Serves a connection's requests one after the other, until either side ends it."""

    def __init__(self, session: InterceptSession, program: TlsStream, host: TlsStream | None) -> None:
        self._session = session
        self._program = _End(program, h11.SERVER)
        if host is None:
            self._host = None
        else:
            self._host = _End(host, h11.CLIENT)
        self._ahead: deque[Any] = deque()
        """Parts of a request that were read for a recorder, and are still to be sent."""

    async def run(self) -> None:
        """Raises ssl.SSLError where the program objects to the certificate."""
        try:
            while await self._serve_one():
                self._program.http.start_next_cycle()
        except _Switched:
            await self._carry()
        except h11.RemoteProtocolError as error:
            await self._give_up(_invalid(error))
        except RequestRefused as refusal:
            await self._give_up(refusal)
        finally:
            if self._host is not None:
                await self._host.wire.close()

    async def _serve_one(self) -> bool:
        """One request and its answer; whether another may follow."""
        program = self._program
        request = await program.next()
        if not isinstance(request, h11.Request):
            return False

        outgoing = prepare(
            self._session, request.method.decode(), request.target, list(request.headers.raw_items())
        )
        try:
            if (answer := await self._recorded(outgoing)) is not None:
                await self._answer(answer)
            else:
                await self._exchange(outgoing)
        finally:
            outgoing.ended(whole=False)

        return program.http.our_state is h11.DONE and program.http.their_state is h11.DONE

    async def _recorded(self, outgoing: Outgoing) -> RecordedResponse | None:
        """What a recorder answers, where there is one. Raises Refusal, OSError."""
        recording = self._session.interception.recording
        if recording is None:
            return None

        if self._program.http.they_are_waiting_for_100_continue:
            await self._program.send(
                h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            )

        pieces: list[bytes] = []
        size = 0
        self._ahead.clear()
        while size <= MAX_BODY_BYTES:
            self._ahead.append(event := await self._part(outgoing))
            if not isinstance(event, h11.Data):
                break

            pieces.append(bytes(event.data))
            size += len(pieces[-1])

        return await outgoing.ask(recording, b"".join(pieces) if size <= MAX_BODY_BYTES else None)

    async def _exchange(self, outgoing: Outgoing) -> None:
        host = await self._connected()
        head = h11.Request(method=outgoing.method, target=outgoing.target, headers=outgoing.headers)
        sending = asyncio.create_task(self._send(outgoing, host, head))
        try:
            await self._pass_on(outgoing, host, sending)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, h11.ProtocolError):
                await sending

    async def _connected(self) -> _End:
        """The connection to the host, made again where it has ended since."""
        host = self._host
        if host is not None:
            if host.http.our_state is h11.DONE and host.http.their_state is h11.DONE:
                host.http.start_next_cycle()
            if host.http.our_state is h11.IDLE and not host.wire.reader.at_eof():
                return host
            await host.wire.close()

        try:
            self._host = _End(await self._session.connect(("http/1.1",)), h11.CLIENT)
        except (HostUnreachable, DialFailed) as error:
            self._host = None
            raise RequestRefused(
                502, f"{self._session.host} could not be reached: {error.reason}."
            ) from error

        return self._host

    async def _part(self, outgoing: Outgoing) -> Any:
        """The next part of the request's body, looked at. Raises Refusal, OSError."""
        try:
            event = await self._program.next()
        except h11.RemoteProtocolError as error:
            raise _invalid(error) from error

        if isinstance(event, h11.Data):
            outgoing.check_body(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            outgoing.check_body(b"".join(b"%b: %b\n" % pair for pair in event.headers))
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the program hung up")

        return event

    async def _send(self, outgoing: Outgoing, host: _End, head: h11.Request) -> None:
        """The request to the host; then watch the program, which may hang up. Raises Refusal, OSError."""
        first = [head]
        while True:
            if self._ahead:
                event = self._ahead.popleft()
            else:
                event = await self._part(outgoing)

            if not isinstance(event, h11.Data | h11.EndOfMessage):
                break

            await host.send(*first, event)
            first = []
            if isinstance(event, h11.EndOfMessage):
                break

        await self._watch()

    async def _watch(self) -> None:
        """Read ahead, so that a hang-up is noticed. Raises ConnectionResetError."""
        program, ahead = self._program, 0
        while ahead < LIMIT:
            data = await program.wire.reader.read(_CHUNK)
            if not data:
                raise ConnectionResetError("the program hung up")
            program.http.receive_data(data)
            ahead += len(data)
        await asyncio.Event().wait()

    async def _pass_on(self, outgoing: Outgoing, host: _End, sending: asyncio.Task[None]) -> None:
        """The host's answer to the program. Raises Refusal; OSError where either side breaks off."""
        scrub: AnswerScrubber | None = None
        while True:
            try:
                event = await _either(host, sending)
            except h11.RemoteProtocolError as error:
                raise RequestRefused(
                    502,
                    f"{self._session.host} did not answer in valid HTTP.",
                    f"its answer is not valid HTTP ({error})",
                ) from error

            if isinstance(event, h11.InformationalResponse):
                await self._interim(outgoing, event)
            elif isinstance(event, h11.Response):
                scrub = self._scrubber(outgoing, event)
                outgoing.answered(event.status_code, scrub.headers)
                await self._program.send(
                    h11.Response(
                        status_code=event.status_code,
                        headers=scrub.headers,
                        reason=_phrase(event.status_code),
                    )
                )
            elif isinstance(event, h11.Data) and scrub is not None:
                await self._body_on(outgoing, scrub, bytes(event.data))
            elif isinstance(event, h11.EndOfMessage) and scrub is not None:
                rest = scrub.finish()
                outgoing.received(rest)
                outgoing.ended(whole=True)
                await self._program.send(*([h11.Data(data=rest)] if rest else []), h11.EndOfMessage())

                return
            else:
                raise ConnectionResetError("the host hung up")

    async def _body_on(self, outgoing: Outgoing, scrub: AnswerScrubber, data: bytes) -> None:
        try:
            for piece in scrub.feed(data):
                outgoing.received(piece)
                await self._program.send(h11.Data(data=piece))
        except UnreadableResponse as error:
            raise RequestRefused(
                502, f"The answer of {self._session.host} was refused: {error.reason}.", error.reason
            ) from error

    def _scrubber(self, outgoing: Outgoing, event: h11.Response) -> AnswerScrubber:
        bodiless = outgoing.method == "HEAD" or event.status_code in {204, 304}
        headers: Headers = [(n, v) for n, v in event.headers.raw_items() if n.lower() not in _NOT_FOR_PROGRAM]
        try:
            return AnswerScrubber(
                self._session.interception.scrubber, headers, bodiless=bodiless, parts=outgoing.takes_parts
            )
        except UnreadableResponse as error:
            raise RequestRefused(
                502, f"The answer of {self._session.host} was refused: {error.reason}.", error.reason
            ) from error

    async def _interim(self, outgoing: Outgoing, event: h11.InformationalResponse) -> None:
        scrub = AnswerScrubber(
            self._session.interception.scrubber, list(event.headers.raw_items()), bodiless=True
        )
        if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            _judge_switch(self._session, outgoing, scrub.headers)
            outgoing.answered(event.status_code, scrub.headers)

        await self._program.send(
            h11.InformationalResponse(
                status_code=event.status_code, headers=scrub.headers, reason=_phrase(event.status_code)
            )
        )
        if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            raise _Switched

    async def _answer(self, answer: RecordedResponse) -> None:
        """A recorder's answer in the host's place; what the program still sends is read and dropped."""
        while self._program.http.their_state is h11.SEND_BODY:
            await self._program.next()
        await self._program.send(h11.Response(status_code=answer.status, headers=answer.headers))
        async for piece in answer.pieces:
            await self._program.send(h11.Data(data=piece))
        await self._program.send(h11.EndOfMessage())

    async def _give_up(self, refusal: RequestRefused) -> None:
        """Tell the program, unless its answer has begun, and note it."""
        if refusal.reason:
            self._session.refused(refusal.reason)
        if self._program.http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await reply(self._program, refusal.status, refusal.sentence)
        else:
            self._program.wire.writer.transport.abort()

    async def _carry(self) -> None:
        assert self._host is not None  # noqa: S101  # it has just answered
        begun = (self._program.http.trailing_data[0], self._host.http.trailing_data[0])
        await carry_websocket(self._session, self._program.wire, self._host.wire, begun)


def _judge_switch(session: InterceptSession, outgoing: Outgoing, headers: Headers) -> None:
    """Raises Refusal for another protocol than the one that was asked for, or one that cannot be looked into."""
    named = {name.lower(): value.strip().lower() for name, value in headers}
    if not outgoing.upgrades or named.get(b"upgrade") != b"websocket":
        reason = "it switched to a protocol that nobody asked for"
    elif b"sec-websocket-extensions" in named:
        reason = "it compresses its websocket although nobody offered that, and it cannot be looked into"
    else:
        return
    raise RequestRefused(502, f"The answer of {session.host} was refused: {reason}.", reason)


async def _either(host: _End, sending: asyncio.Task[None]) -> Any:
    """The host's next event, or what ended the sending of the request. A host may answer before it has all of it, and may
    then not take the rest.
    """
    event = host.http.next_event()
    while event is h11.NEED_DATA:
        reading = asyncio.ensure_future(host.wire.reader.read(_CHUNK))
        try:
            if not sending.done():
                await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await _judge(sending, host)
            host.http.receive_data(await reading)
        finally:
            reading.cancel()

        event = host.http.next_event()
        if event is h11.NEED_DATA and host.http.their_state is h11.SEND_RESPONSE:
            _judge_beginning(host.http.trailing_data[0])

    return event


def _judge_beginning(data: bytes) -> None:
    """The parser waits for the end of a head, which what is no HTTP may not have. Raises h11.RemoteProtocolError."""
    if data[: len(_BEGINS)] != _BEGINS[: len(data)]:
        raise h11.RemoteProtocolError("it does not begin as HTTP does")


async def _judge(sending: asyncio.Task[None], host: _End) -> None:
    """Why the request is not sent on. Raises Refusal; ConnectionResetError where the program has gone."""
    try:
        await sending
    except RequestRefused:
        host.wire.writer.transport.abort()
        raise
    except ConnectionResetError as error:
        if "program" in str(error):
            host.wire.writer.transport.abort()
            raise
    except OSError:
        pass  # the host takes no more of it; its answer tells why


def _invalid(error: h11.RemoteProtocolError) -> RequestRefused:
    return RequestRefused(400, "This is not a valid HTTP/1.1 request.", f"it is not valid HTTP ({error})")


async def reply(program: _End, status: int, sentence: str) -> None:
    """Answer a request that does not go out, and let the program read that before the connection ends."""
    body = (sentence + "\n").encode()
    headers = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", str(len(body))),
        ("connection", "close"),
    ]

    with contextlib.suppress(OSError, TimeoutError, h11.LocalProtocolError):
        await program.send(
            h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()
        )
        async with asyncio.timeout(_LINGER):
            while await program.wire.reader.read(_CHUNK):
                pass


async def answer_failure(wire: TlsStream, session: InterceptSession, failure: HostUnreachable) -> None:
    """The host could not be reached: say so to whatever is asked of it first."""
    program = _End(wire, h11.SERVER)
    with contextlib.suppress(h11.RemoteProtocolError):
        await program.next()
        await reply(program, 502, f"{session.host} could not be reached: {failure.reason}.")
