"""HTTP/2 between a program and a host: each stream of the program is one of the host's, read and written anew.

Windows are given back to a sender only as its bytes have gone on, so that a reader who stops stops the sender.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.requests import Outgoing, RequestRefused, prepare_stream
from codewords_mcp.runtime.egress.intercept.responses import AnswerScrubber, UnreadableResponse
from codewords_mcp.runtime.egress.intercept.session import InterceptSession, TlsStream

_STREAM_WINDOW: Final = 1 << 20
_WINDOW: Final = 4 << 20
"""Bytes under way, at the most, of one stream and of all."""
_STREAMS: Final = 100
_MAX_HEADERS: Final = 64 << 10
_CHUNK: Final = 64 << 10
_NOT_FOR_PROGRAM: Final = frozenset({b"alt-svc"})
"""It would offer a way to the host that is not looked at."""


@dataclass(slots=True)
class _StreamFlow:
    """What is to go on in one stream: (bytes, how many the sender is given back for them), then perhaps its end."""

    chunks: deque[tuple[bytes, int]] = field(default_factory=deque[tuple[bytes, int]])
    ends: bool = False
    trailers: Headers | None = None


class _Side:
    """One connection, its peer's name for each stream, and what waits for its windows."""

    def __init__(self, wire: TlsStream, *, client: bool) -> None:
        self.wire = wire
        self.http = H2Connection(
            H2Configuration(client_side=client, header_encoding=None, validate_inbound_headers=True)
        )
        self.other: dict[int, int] = {}
        """Its stream → the other side's."""
        self.flows: dict[int, _StreamFlow] = {}

    def begin(self, streams: int) -> None:
        """The first settings."""
        self.http.local_settings = self.http.local_settings.__class__(
            client=self.http.config.client_side,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADERS,
            },
        )
        if not self.http.config.client_side:
            del self.http.local_settings[SettingCodes.ENABLE_PUSH]
        self.http.initiate_connection()
        self.http.increment_flow_control_window(_WINDOW)

    async def flush(self) -> None:
        """Send what there is. Raises OSError."""
        await self.wire.send(self.http.data_to_send())

    def given_back(self, size: int, stream: int) -> None:
        """Its peer may send so many bytes more."""
        if size:
            with contextlib.suppress(ProtocolError):  # a stream that is over
                self.http.acknowledge_received_data(size, stream)

    def reset(self, stream: int | None, code: ErrorCodes) -> None:
        """Break a stream off."""
        if stream is not None:
            self.flows.pop(stream, None)
            with contextlib.suppress(ProtocolError):
                self.http.reset_stream(stream, code)


class Http2:
    """Serves a connection's streams until either side ends it."""

    def __init__(self, session: InterceptSession, program: TlsStream, host: TlsStream) -> None:
        self._session = session
        self._program = _Side(program, client=False)
        self._host = _Side(host, client=True)
        self._requests: dict[int, Outgoing] = {}
        """By the program's stream."""
        self._scrubbers: dict[int, AnswerScrubber] = {}
        self._whole: set[int] = set()
        """The program's streams whose end went on with their head."""
        self._settled = asyncio.Event()
        """The host has said how many streams it takes."""

    async def run(self) -> None:
        """Raises ssl.SSLError where the program objects to the certificate."""
        self._host.begin(_STREAMS)
        await self._host.flush()
        reading = asyncio.create_task(self._read(self._host))
        said = asyncio.create_task(self._settled.wait())

        try:
            await asyncio.wait({reading, said}, return_when=asyncio.FIRST_COMPLETED)
            self._program.begin(min(_STREAMS, self._host.http.remote_settings.max_concurrent_streams))
            await self._program.flush()
            serving = asyncio.create_task(self._read(self._program))

            try:
                await asyncio.wait({reading, serving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                serving.cancel()

            for task in (serving, reading):
                if task.done() and not task.cancelled():
                    await task
        except (ProtocolError, ConnectionError) as error:
            if isinstance(error, ProtocolError):
                self._session.refused(f"it is not valid HTTP/2 ({type(error).__name__})")
        finally:
            said.cancel()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

            with contextlib.suppress(OSError, ProtocolError):
                self._program.http.close_connection()
                await self._program.flush()

    async def _read(self, side: _Side) -> None:
        """Until it ends. Raises ProtocolError, OSError."""
        while data := await side.wire.reader.read(_CHUNK):
            for event in side.http.receive_data(data):
                if isinstance(event, events.ConnectionTerminated):
                    return
                if side is self._program:
                    self._on_program(event)
                else:
                    self._on_host(event)

            await self._program.flush()
            await self._host.flush()

    # what the program says
    def _on_program(self, event: Any) -> None:
        if isinstance(event, events.RequestReceived):
            self._begin(
                event.stream_id,
                [(bytes(n), bytes(v)) for n, v in event.headers],
                ended=event.stream_ended is not None,
            )
        elif isinstance(event, events.DataReceived):
            self._body_out(event.stream_id, event.data, event.flow_controlled_length)
        elif isinstance(event, events.TrailersReceived):
            self._trailers_out(event.stream_id, [(bytes(n), bytes(v)) for n, v in event.headers])
        elif isinstance(event, events.StreamEnded):
            if event.stream_id not in self._whole:
                self._end(self._program, self._host, event.stream_id)
            self._whole.discard(event.stream_id)
        else:
            self._on_either(self._program, self._host, event)

    def _begin(self, stream: int, headers: Headers, *, ended: bool) -> None:
        try:
            outgoing, head = prepare_stream(self._session, headers)
        except RequestRefused as refusal:
            self._refuse(stream, refusal)
            return

        there = self._host.http.get_next_available_stream_id()
        try:
            self._host.http.send_headers(there, head, end_stream=ended)
        except ProtocolError:  # more streams than the host takes, or one that is ending
            self._program.reset(stream, ErrorCodes.REFUSED_STREAM)
            return

        if ended:
            self._whole.add(stream)
        self._requests[stream] = outgoing
        self._program.other[stream], self._host.other[there] = there, stream

    def _body_out(self, stream: int, data: bytes, counted: int) -> None:
        outgoing = self._requests.get(stream)
        if outgoing is None:
            self._program.given_back(counted, stream)
            return

        try:
            outgoing.check_body(data)
        except RequestRefused as refusal:
            self._host.reset(self._program.other.get(stream), ErrorCodes.CANCEL)
            self._refuse(stream, refusal)
            return

        self._go_on(self._program, self._host, stream, data, counted)

    def _trailers_out(self, stream: int, trailers: Headers) -> None:
        outgoing = self._requests.get(stream)
        if outgoing is None:
            return
        try:
            outgoing.check_body(b"".join(b"%b: %b\n" % pair for pair in trailers))
        except RequestRefused as refusal:
            self._host.reset(self._program.other.get(stream), ErrorCodes.CANCEL)
            self._refuse(stream, refusal)
            return
        self._trail(self._program, self._host, stream, trailers)

    def _refuse(self, stream: int, refusal: RequestRefused) -> None:
        """Answer in the host's place, and note it."""
        if refusal.reason:
            self._session.refused(refusal.reason)
        self._requests.pop(stream, None)
        self._scrubbers.pop(stream, None)
        self._program.flows.pop(stream, None)
        body = (refusal.sentence + "\n").encode()
        head: Headers = [
            (b":status", str(refusal.status).encode()),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]

        try:
            self._program.http.send_headers(stream, head)
            self._program.http.send_data(stream, body, end_stream=True)
        except ProtocolError:  # an answer has begun
            self._program.reset(stream, ErrorCodes.CANCEL)

    # what the host says
    def _on_host(self, event: Any) -> None:
        stream = self._host.other.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, events.RemoteSettingsChanged):
            self._settled.set()
            self._pump_all(self._program, self._host)
        elif isinstance(event, events.ResponseReceived | events.InformationalResponseReceived):
            if stream is not None:
                self._head_in(stream, [(bytes(n), bytes(v)) for n, v in event.headers], event)
        elif isinstance(event, events.DataReceived):
            self._body_in(stream, event)
        elif isinstance(event, events.TrailersReceived):
            self._rest_in(stream)
            if stream is not None:
                clean = self._session.interception.scrubber
                trailers = [(bytes(n), clean.whole(bytes(v))) for n, v in event.headers]
                self._trail(self._host, self._program, event.stream_id, trailers)
        elif isinstance(event, events.StreamEnded):
            self._rest_in(stream)
            self._end(self._host, self._program, event.stream_id)
        else:
            self._on_either(self._host, self._program, event)

    def _head_in(self, stream: int, headers: Headers, event: Any) -> None:
        outgoing = self._requests.get(stream)
        if outgoing is None:
            return

        status = int(next(value for name, value in headers if name == b":status"))
        kept = [(n, v) for n, v in headers if not n.startswith(b":") and n not in _NOT_FOR_PROGRAM]
        interim = isinstance(event, events.InformationalResponseReceived)
        bodiless = (
            interim or outgoing.method == "HEAD" or status in {204, 304} or event.stream_ended is not None
        )

        try:
            scrub = AnswerScrubber(
                self._session.interception.scrubber, kept, bodiless=bodiless, parts=outgoing.takes_parts
            )
        except UnreadableResponse as error:
            self._host.reset(self._program.other.get(stream), ErrorCodes.CANCEL)
            self._refuse(
                stream,
                RequestRefused(
                    502, f"The answer of {self._session.host} was refused: {error.reason}.", error.reason
                ),
            )
            return

        if not interim:
            self._scrubbers[stream] = scrub
            outgoing.answered(status, scrub.headers)

        with contextlib.suppress(ProtocolError):  # the program has given it up
            self._program.http.send_headers(stream, [(b":status", str(status).encode()), *scrub.headers])

    def _body_in(self, stream: int | None, event: events.DataReceived) -> None:
        if stream is None:
            scrub = None
        else:
            scrub = self._scrubbers.get(stream)

        there, counted = event.stream_id or 0, event.flow_controlled_length or 0
        if scrub is None or stream is None:
            self._host.given_back(counted, there)
            return

        try:
            clean = b"".join(scrub.feed(event.data or b""))
        except UnreadableResponse as error:
            self._session.refused(error.reason)
            self._host.reset(there, ErrorCodes.CANCEL)
            self._program.reset(stream, ErrorCodes.INTERNAL_ERROR)
            return

        self._go_on(self._host, self._program, there, clean, counted)

    def _rest_in(self, stream: int | None) -> None:
        if stream is None:
            scrub = None
        else:
            scrub = self._scrubbers.pop(stream, None)
        if scrub is None or stream is None:
            return
        self._go_on(self._host, self._program, self._program.other.get(stream, 0), scrub.finish(), 0)

    # both ways
    def _on_either(self, side: _Side, other: _Side, event: Any) -> None:
        if isinstance(event, events.WindowUpdated):
            if event.stream_id:
                self._pump(other, side, event.stream_id)
            else:
                self._pump_all(other, side)
        elif isinstance(event, events.RemoteSettingsChanged):
            self._pump_all(other, side)
        elif isinstance(event, events.StreamReset):
            other.reset(side.other.get(event.stream_id or 0), ErrorCodes.CANCEL)
            self._forget(side, other, event.stream_id or 0)

    def _go_on(self, source: _Side, target: _Side, stream: int, data: bytes, counted: int) -> None:
        there = source.other.get(stream)
        if there is None:
            source.given_back(counted, stream)
            return
        if not data:
            source.given_back(counted, stream)
        else:
            target.flows.setdefault(there, _StreamFlow()).chunks.append((data, counted))
        self._pump(source, target, there)

    def _end(self, source: _Side, target: _Side, stream: int) -> None:
        there = source.other.get(stream)
        if there is not None:
            flow = target.flows.setdefault(there, _StreamFlow())
            flow.ends = True
            self._pump(source, target, there)

    def _trail(self, source: _Side, target: _Side, stream: int, trailers: Headers) -> None:
        there = source.other.get(stream)
        if there is not None:
            target.flows.setdefault(there, _StreamFlow()).trailers = trailers

    def _pump_all(self, source: _Side, target: _Side) -> None:
        for stream in list(target.flows):
            self._pump(source, target, stream)

    def _pump(self, source: _Side, target: _Side, stream: int) -> None:
        """Send on what the target's windows take."""
        flow = target.flows.get(stream)
        if flow is None:
            return

        try:
            while flow.chunks:
                data, counted = flow.chunks[0]
                room = min(target.http.local_flow_control_window(stream), target.http.max_outbound_frame_size)
                if room <= 0:
                    return

                target.http.send_data(stream, data[:room])
                if len(data) > room:
                    flow.chunks[0] = (data[room:], counted)
                else:
                    flow.chunks.popleft()
                    source.given_back(counted, target.other.get(stream, 0))

            if flow.ends:
                self._finish(target, stream, flow)
                self._forget_if_over(source, target, stream)
        except ProtocolError:  # the stream is over on that side
            target.flows.pop(stream, None)
            for _, counted in flow.chunks:
                source.given_back(counted, target.other.get(stream, 0))

    def _finish(self, target: _Side, stream: int, flow: _StreamFlow) -> None:
        target.flows.pop(stream, None)
        if flow.trailers is not None:
            target.http.send_headers(stream, flow.trailers, end_stream=True)
        else:
            target.http.end_stream(stream)

    def _forget_if_over(self, source: _Side, target: _Side, stream: int) -> None:
        """When the answer is out, nothing of the exchange is needed any more."""
        if target is self._program:
            self._forget(target, source, stream)

    def _forget(self, side: _Side, other: _Side, stream: int) -> None:
        there = side.other.pop(stream, None)
        other.other.pop(there or 0, None)
        here = stream if side is self._program else there
        self._requests.pop(here or 0, None)
        self._scrubbers.pop(here or 0, None)
