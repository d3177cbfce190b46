"""HTTP/1.1 between a program and a host.

Each message is parsed completely and serialized again, so that both sides agree on its end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from http import HTTPStatus
from typing import Final

import h11

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.http1_end import (
    CHUNK_BYTES,
    Http1End,
    next_of_host,
    respond,
    takes_end,
)
from codewords_mcp.runtime.egress.intercept.requests import Outgoing, RequestRefused, prepare
from codewords_mcp.runtime.egress.intercept.responses import ResponseScrubber, UnreadableResponse
from codewords_mcp.runtime.egress.intercept.session import (
    MAX_READ_AHEAD,
    HostUnreachable,
    InterceptSession,
    TlsStream,
)
from codewords_mcp.runtime.egress.intercept.websocket import relay_websocket
from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES
from codewords_mcp.runtime.recording.recorder import RecordedResponse
from codewords_mcp.runtime.web.dial import DialFailed

# `alt-svc` would offer the program a way to the host that is not intercepted.
_NOT_FOR_PROGRAM: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"alt-svc"}
)


class _Switched(Exception):  # an outcome, caught inside this package
    """Both sides switched to another protocol."""


def _phrase(status: int) -> bytes:
    """The usual reason phrase.

    A host's own may hold any text, even a secret, and means nothing (RFC 9112, 4).
    """
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""


class Http1:
    """Serves a connection's requests in sequence, until either side ends it."""

    def __init__(self, session: InterceptSession, program: TlsStream, host: TlsStream | None) -> None:
        self._session = session
        self._program = Http1End(program, h11.SERVER)
        if host is None:
            self._host = None
        else:
            self._host = Http1End(host, h11.CLIENT)
        # Parts of a request that were read for a recorder and are not sent yet.
        self._ahead: deque[object] = deque()

    async def run(self) -> None:
        """Serve the connection. Raises ssl.SSLError if the program rejects the certificate."""
        try:
            while await self._serve_request():
                self._program.http.start_next_cycle()
        except _Switched:
            await self._run_websocket()
        except h11.RemoteProtocolError as error:
            await self._give_up(_invalid(error))
        except RequestRefused as refusal:
            await self._give_up(refusal)
        finally:
            if self._host is not None:
                await self._host.tls.close()

    async def _serve_request(self) -> bool:
        """Serve one request. Returns True if another may follow."""
        program = self._program
        request = await program.next()
        if not isinstance(request, h11.Request):
            return False

        outgoing = prepare(
            self._session, request.method.decode(), request.target, list(request.headers.raw_items())
        )
        try:
            if (response := await self._recorded(outgoing)) is not None:
                await self._respond(response)
            else:
                await self._exchange(outgoing)
        finally:
            # Also after a failure: a recording ends with what was received.
            outgoing.on_end(whole=False)

        return program.http.our_state is h11.DONE and program.http.their_state is h11.DONE

    async def _recorded(self, outgoing: Outgoing) -> RecordedResponse | None:
        """A recorder's response, if there is one. Raises RequestRefused, OSError."""
        recording = self._session.interception.recording
        if recording is None:
            return None
        if not recording.recorder.answers:
            outgoing.observe(recording)
            return None

        # The recorder reads the body before any host does, so the program is told to send it here.
        if self._program.http.they_are_waiting_for_100_continue:
            await self._program.send(
                h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            )

        pieces: list[bytes] = []
        size = 0
        self._ahead.clear()
        # A body over the limit is recorded without its content.
        while size <= MAX_BODY_BYTES:
            self._ahead.append(event := await self._part(outgoing))
            if not isinstance(event, h11.Data):
                break

            pieces.append(bytes(event.data))
            size += len(pieces[-1])

        return await outgoing.consult_recorder(
            recording, b"".join(pieces) if size <= MAX_BODY_BYTES else None
        )

    async def _exchange(self, outgoing: Outgoing) -> None:
        try:
            host = await self._connected()
        except RequestRefused:
            outgoing.on_unsent()
            raise
        head = h11.Request(method=outgoing.method, target=outgoing.target, headers=outgoing.headers)
        # Sent while the response is read: a host may answer before it has the whole body.
        sending = asyncio.create_task(self._send(outgoing, host, head))
        try:
            await self._pass_on(outgoing, host, sending)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, h11.ProtocolError):
                await sending

    async def _connected(self) -> Http1End:
        """The connection to the host, reopened if it has ended."""
        host = self._host
        if host is not None:
            # The exchange before ended well on both sides: the connection can be used again.
            if host.http.our_state is h11.DONE and host.http.their_state is h11.DONE:
                host.http.start_next_cycle()
            # A host may have closed an idle connection meanwhile.
            if host.http.our_state is h11.IDLE and not host.tls.reader.at_eof():
                return host
            await host.tls.close()

        try:
            self._host = Http1End(await self._session.connect(("http/1.1",)), h11.CLIENT)
        except (HostUnreachable, DialFailed) as error:
            self._host = None
            raise RequestRefused(
                502, f"{self._session.host} could not be reached: {error.reason}."
            ) from error

        return self._host

    async def _part(self, outgoing: Outgoing) -> object:
        """The next part of the request's body, scanned. Raises RequestRefused, OSError."""
        try:
            event = await self._program.next()
        except h11.RemoteProtocolError as error:
            raise _invalid(error) from error

        if isinstance(event, h11.Data):
            outgoing.check_body(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            # Trailers may hold a placeholder too.
            outgoing.check_trailers(list(event.headers.raw_items()))
            outgoing.on_sent()
        elif isinstance(event, h11.ConnectionClosed):
            raise ConnectionResetError("the program hung up")

        return event

    async def _send(self, outgoing: Outgoing, host: Http1End, head: h11.Request) -> None:
        """Send the request to the host, then watch for the program's hang-up.

        Raises RequestRefused, OSError.
        """
        first = [head]
        while True:
            if self._ahead:
                event = self._ahead.popleft()
            else:
                event = await self._part(outgoing)

            if not isinstance(event, h11.Data | h11.EndOfMessage):
                break

            # The head goes out with the first part: a request without a body is one packet.
            await host.send(*first, event)
            first = []
            if isinstance(event, h11.EndOfMessage):
                break

        # Also for a program that only waits: its hang-up ends the call to the host.
        await self._watch()

    async def _watch(self) -> None:
        """Read ahead, so that a hang-up is noticed. Raises ConnectionResetError."""
        program, ahead = self._program, 0
        while ahead < MAX_READ_AHEAD:
            data = await program.tls.reader.read(CHUNK_BYTES)
            if not data:
                raise ConnectionResetError("the program hung up")
            program.http.receive_data(data)
            ahead += len(data)
        # It has sent enough for now: a program that sends ahead without end is not read.
        await asyncio.Event().wait()

    async def _pass_on(self, outgoing: Outgoing, host: Http1End, sending: asyncio.Task[None]) -> None:
        """Relay the host's response. Raises RequestRefused, and OSError if a side breaks off."""
        scrub: ResponseScrubber | None = None
        while True:
            try:
                event = await next_of_host(host, sending)
            except h11.RemoteProtocolError as error:
                raise RequestRefused(
                    502,
                    f"{self._session.host} did not respond in valid HTTP.",
                    f"its response is not valid HTTP ({error})",
                ) from error

            if isinstance(event, h11.InformationalResponse):
                await self._interim(outgoing, event)
            elif isinstance(event, h11.Response):
                scrub = self._scrubber(outgoing, event)
                outgoing.on_response(event.status_code, scrub.headers)
                await self._program.send(
                    h11.Response(
                        status_code=event.status_code,
                        headers=scrub.headers,
                        reason=_phrase(event.status_code),
                    )
                )
            elif isinstance(event, h11.Data) and scrub is not None:
                pieces = self._read_body(outgoing, scrub, bytes(event.data))
                if takes_end(host):
                    await self._end_response(outgoing, scrub, pieces)
                    return
                if pieces:
                    await self._program.send(*pieces)
            elif isinstance(event, h11.EndOfMessage) and scrub is not None:
                await self._end_response(outgoing, scrub, [])
                return
            else:
                raise ConnectionResetError("the host hung up")

    async def _end_response(
        self, outgoing: Outgoing, scrub: ResponseScrubber, pieces: list[h11.Data]
    ) -> None:
        rest = scrub.finish()
        # What was kept back at the end, in case it was the beginning of a value.
        outgoing.on_body(rest)
        # Before its last byte goes out: who has the answer finds the exchange whole.
        outgoing.on_end(whole=True)
        await self._program.send(*pieces, *([h11.Data(data=rest)] if rest else []), h11.EndOfMessage())

    def _read_body(self, outgoing: Outgoing, scrub: ResponseScrubber, data: bytes) -> list[h11.Data]:
        pieces: list[h11.Data] = []
        try:
            for piece in scrub.feed(data):
                outgoing.on_body(piece)
                pieces.append(h11.Data(data=piece))
            return pieces
        except UnreadableResponse as error:
            raise RequestRefused(
                502, f"The response of {self._session.host} was refused: {error.reason}.", error.reason
            ) from error

    def _scrubber(self, outgoing: Outgoing, event: h11.Response) -> ResponseScrubber:
        # Such responses may state a length, and have no body.
        bodiless = outgoing.method == "HEAD" or event.status_code in {204, 304}
        headers: Headers = [(n, v) for n, v in event.headers.raw_items() if n.lower() not in _NOT_FOR_PROGRAM]
        try:
            return ResponseScrubber(
                self._session.interception.scrubber, headers, bodiless=bodiless, parts=outgoing.takes_parts
            )
        except UnreadableResponse as error:
            raise RequestRefused(
                502, f"The response of {self._session.host} was refused: {error.reason}.", error.reason
            ) from error

    async def _interim(self, outgoing: Outgoing, event: h11.InformationalResponse) -> None:
        # Interim responses have headers, which may hold a value too.
        scrub = ResponseScrubber(
            self._session.interception.scrubber, list(event.headers.raw_items()), bodiless=True
        )
        if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            _judge_switch(self._session, outgoing, scrub.headers)
            outgoing.on_response(event.status_code, scrub.headers)

        await self._program.send(
            h11.InformationalResponse(
                status_code=event.status_code, headers=scrub.headers, reason=_phrase(event.status_code)
            )
        )
        if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            raise _Switched

    async def _respond(self, response: RecordedResponse) -> None:
        """Send a recorder's response. The rest of the program's request is read and dropped."""
        # The client may read its response only after it has sent everything.
        while self._program.http.their_state is h11.SEND_BODY:
            await self._program.next()
        await self._program.send(h11.Response(status_code=response.status, headers=response.headers))
        async for piece in response.pieces:
            await self._program.send(h11.Data(data=piece))
        await self._program.send(h11.EndOfMessage())

    async def _give_up(self, refusal: RequestRefused) -> None:
        """Record a refusal, and send it unless a response has begun."""
        if refusal.reason:
            self._session.refused(refusal.reason)
        # A response has begun: another one in its middle would be read as its body.
        if self._program.http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await respond(self._program, refusal.status, refusal.message)
        else:
            self._program.tls.writer.transport.abort()

    async def _run_websocket(self) -> None:
        assert self._host is not None  # noqa: S101  # it has just answered
        # Both parsers may hold bytes that came after the switch.
        read_ahead = (self._program.http.trailing_data[0], self._host.http.trailing_data[0])
        await relay_websocket(self._session, self._program.tls, self._host.tls, read_ahead)


def _judge_switch(session: InterceptSession, outgoing: Outgoing, headers: Headers) -> None:
    """Raise RequestRefused for a protocol that was not requested or cannot be read."""
    named = {name.lower(): value.strip().lower() for name, value in headers}
    if not outgoing.upgrades or named.get(b"upgrade") != b"websocket":
        reason = "it switched to a protocol that was not requested"
    elif b"sec-websocket-extensions" in named:
        reason = "it compresses its websocket which was not offered, so it cannot be read"
    else:
        return
    raise RequestRefused(502, f"The response of {session.host} was refused: {reason}.", reason)


def _invalid(error: h11.RemoteProtocolError) -> RequestRefused:
    return RequestRefused(400, "This is not a valid HTTP/1.1 request.", f"it is not valid HTTP ({error})")


async def respond_failure(tls: TlsStream, session: InterceptSession, failure: HostUnreachable) -> None:
    """Report that the host could not be reached, in response to the program's first request."""
    program = Http1End(tls, h11.SERVER)
    with contextlib.suppress(h11.RemoteProtocolError):
        await program.next()
        await respond(program, 502, f"{session.host} could not be reached: {failure.reason}.")
