"""HTTP/2 between a program and a host: each stream is parsed and serialized again as one of the
host's.

A sender's window is replenished only once its bytes are sent on, so that a reader who stops also
stops the sender.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final

from h2 import events
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.http2_side import Http2Side, StreamFlow
from codewords_mcp.runtime.egress.intercept.requests import Outgoing, RequestRefused, prepare_stream
from codewords_mcp.runtime.egress.intercept.responses import ResponseScrubber, UnreadableResponse
from codewords_mcp.runtime.egress.intercept.session import InterceptSession, TlsStream

_STREAMS: Final = 100
_CHUNK: Final = 64 << 10
# It would offer the program a way to the host that is not intercepted.
_NOT_FOR_PROGRAM: Final = frozenset({b"alt-svc"})


class Http2:
    """Serves a connection's streams until either side ends it."""

    def __init__(self, session: InterceptSession, program: TlsStream, host: TlsStream) -> None:
        self._session = session
        self._program = Http2Side(program, client=False)
        self._host = Http2Side(host, client=True)
        # By the program's stream.
        self._requests: dict[int, Outgoing] = {}
        self._scrubbers: dict[int, ResponseScrubber] = {}
        # The program's streams whose end was sent with their head.
        self._whole: set[int] = set()
        # Set when the host's limit of concurrent streams is known.
        self._settings_known = asyncio.Event()

    async def run(self) -> None:
        """Serve the connection. Raises ssl.SSLError if the program rejects the certificate."""
        self._host.begin(_STREAMS)
        await self._host.flush()
        reading = asyncio.create_task(self._read(self._host))
        # The host's limit of streams is what the program is told.
        settings_known = asyncio.create_task(self._settings_known.wait())

        try:
            await asyncio.wait({reading, settings_known}, return_when=asyncio.FIRST_COMPLETED)
            self._program.begin(min(_STREAMS, self._host.http.remote_settings.max_concurrent_streams))
            await self._program.flush()
            serving = asyncio.create_task(self._read(self._program))

            try:
                await asyncio.wait({reading, serving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                serving.cancel()

            # An error of a side is raised here; the task that was cancelled has none.
            for task in (serving, reading):
                if task.done() and not task.cancelled():
                    await task
        except (ProtocolError, ConnectionError) as error:
            if isinstance(error, ProtocolError):
                self._session.refused(f"it is not valid HTTP/2 ({type(error).__name__})")
        finally:
            for outgoing in self._requests.values():
                outgoing.on_end(whole=False)
            settings_known.cancel()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

            with contextlib.suppress(OSError, ProtocolError):
                self._program.http.close_connection()
                await self._program.flush()

    async def _read(self, side: Http2Side) -> None:
        """Handle a side's events until it ends. Raises ProtocolError, OSError."""
        while data := await side.tls.reader.read(_CHUNK):
            for event in side.http.receive_data(data):
                if isinstance(event, events.ConnectionTerminated):
                    return
                if side is self._program:
                    self._on_program(event)
                else:
                    self._on_host(event)

            await self._program.flush()
            await self._host.flush()

    # Events of the program's side
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
                if (outgoing := self._requests.get(event.stream_id)) is not None:
                    outgoing.on_sent()
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

        # Streams are numbered by each side for itself.
        there = self._host.http.get_next_available_stream_id()
        try:
            self._host.http.send_headers(there, head, end_stream=ended)
        except ProtocolError:
            # More streams than the host takes, or a connection that is ending.
            self._program.reset(stream, ErrorCodes.REFUSED_STREAM)
            return

        # Recorders that answer are not served here: they speak HTTP/1.1.
        recording = self._session.interception.recording
        if recording is not None:
            outgoing.observe(recording)
        if ended:
            outgoing.on_sent()
            self._whole.add(stream)
        self._requests[stream] = outgoing
        self._program.other[stream], self._host.other[there] = there, stream

    def _body_out(self, stream: int, data: bytes, counted: int) -> None:
        outgoing = self._requests.get(stream)
        if outgoing is None:
            # A refused stream's data still counts against the connection's window.
            self._program.acknowledge(counted, stream)
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
            outgoing.check_trailers(trailers)
        except RequestRefused as refusal:
            self._host.reset(self._program.other.get(stream), ErrorCodes.CANCEL)
            self._refuse(stream, refusal)
            return
        self._trail(self._program, self._host, stream, trailers)

    def _refuse(self, stream: int, refusal: RequestRefused) -> None:
        """Respond in the host's place, and record the refusal."""
        if refusal.reason:
            self._session.refused(refusal.reason)
        outgoing = self._requests.pop(stream, None)
        if outgoing is not None:
            outgoing.on_end(whole=False)
        self._scrubbers.pop(stream, None)
        self._program.flows.pop(stream, None)
        body = (refusal.message + "\n").encode()
        head: Headers = [
            (b":status", str(refusal.status).encode()),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
        ]

        try:
            self._program.http.send_headers(stream, head)
            self._program.http.send_data(stream, body, end_stream=True)
        except ProtocolError:
            # A response has begun.
            self._program.reset(stream, ErrorCodes.CANCEL)

    # Events of the host's side
    def _on_host(self, event: Any) -> None:
        stream = self._host.other.get(getattr(event, "stream_id", 0) or 0)
        if isinstance(event, events.RemoteSettingsChanged):
            self._settings_known.set()
            self._pump_all(self._program, self._host)
        elif isinstance(event, events.ResponseReceived | events.InformationalResponseReceived):
            if stream is not None:
                self._head_in(stream, [(bytes(n), bytes(v)) for n, v in event.headers], event)
        elif isinstance(event, events.DataReceived):
            self._body_in(stream, event)
        elif isinstance(event, events.TrailersReceived):
            self._rest_in(stream)
            if stream is not None:
                # Trailers may hold a value too.
                clean = self._session.interception.scrubber
                trailers = [(bytes(n), clean.whole(bytes(v))) for n, v in event.headers]
                if (outgoing := self._requests.get(stream)) is not None:
                    outgoing.on_trailers(trailers)
                self._trail(self._host, self._program, event.stream_id, trailers)
        elif isinstance(event, events.StreamEnded):
            self._rest_in(stream)
            if stream is not None and (outgoing := self._requests.get(stream)) is not None:
                outgoing.on_end(whole=True)
            self._end(self._host, self._program, event.stream_id)
        else:
            self._on_either(self._host, self._program, event)

    def _head_in(self, stream: int, headers: Headers, event: Any) -> None:
        outgoing = self._requests.get(stream)
        if outgoing is None:
            return

        status = int(next(value for name, value in headers if name == b":status"))
        forwarded = [(n, v) for n, v in headers if not n.startswith(b":") and n not in _NOT_FOR_PROGRAM]
        interim = isinstance(event, events.InformationalResponseReceived)
        bodiless = (
            interim or outgoing.method == "HEAD" or status in {204, 304} or event.stream_ended is not None
        )

        try:
            scrub = ResponseScrubber(
                self._session.interception.scrubber, forwarded, bodiless=bodiless, parts=outgoing.takes_parts
            )
        except UnreadableResponse as error:
            self._host.reset(self._program.other.get(stream), ErrorCodes.CANCEL)
            self._refuse(
                stream,
                RequestRefused(
                    502, f"The response of {self._session.host} was refused: {error.reason}.", error.reason
                ),
            )
            return

        if not interim:
            self._scrubbers[stream] = scrub
            outgoing.on_response(status, scrub.headers)

        # The program may have given the stream up.
        with contextlib.suppress(ProtocolError):
            self._program.http.send_headers(stream, [(b":status", str(status).encode()), *scrub.headers])

    def _body_in(self, stream: int | None, event: events.DataReceived) -> None:
        if stream is None:
            scrub = None
        else:
            scrub = self._scrubbers.get(stream)

        there, counted = event.stream_id or 0, event.flow_controlled_length or 0
        if scrub is None or stream is None:
            self._host.acknowledge(counted, there)
            return

        try:
            clean = b"".join(scrub.feed(event.data or b""))
        except UnreadableResponse as error:
            self._session.refused(error.reason)
            self._host.reset(there, ErrorCodes.CANCEL)
            # A response has begun: only a reset can tell the program that it is not whole.
            self._program.reset(stream, ErrorCodes.INTERNAL_ERROR)
            return

        if (outgoing := self._requests.get(stream)) is not None:
            outgoing.on_body(clean)
        self._go_on(self._host, self._program, there, clean, counted)

    def _rest_in(self, stream: int | None) -> None:
        if stream is None:
            scrub = None
        else:
            scrub = self._scrubbers.pop(stream, None)
        if scrub is None or stream is None:
            return
        rest = scrub.finish()
        if (outgoing := self._requests.get(stream)) is not None:
            outgoing.on_body(rest)
        self._go_on(self._host, self._program, self._program.other.get(stream, 0), rest, 0)

    # Events of either side
    def _on_either(self, side: Http2Side, other: Http2Side, event: Any) -> None:
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

    def _go_on(self, source: Http2Side, target: Http2Side, stream: int, data: bytes, counted: int) -> None:
        there = source.other.get(stream)
        if there is None:
            source.acknowledge(counted, stream)
            return
        if not data:
            # Kept back by the scrubber, or empty: the sender's window is given back all the same.
            source.acknowledge(counted, stream)
        else:
            target.flows.setdefault(there, StreamFlow()).chunks.append((data, counted))
        self._pump(source, target, there)

    def _end(self, source: Http2Side, target: Http2Side, stream: int) -> None:
        there = source.other.get(stream)
        if there is not None:
            flow = target.flows.setdefault(there, StreamFlow())
            flow.ends = True
            self._pump(source, target, there)

    def _trail(self, source: Http2Side, target: Http2Side, stream: int, trailers: Headers) -> None:
        there = source.other.get(stream)
        if there is not None:
            target.flows.setdefault(there, StreamFlow()).trailers = trailers

    def _pump_all(self, source: Http2Side, target: Http2Side) -> None:
        for stream in list(target.flows):
            self._pump(source, target, stream)

    def _pump(self, source: Http2Side, target: Http2Side, stream: int) -> None:
        """Send as much as the target's windows allow."""
        flow = target.flows.get(stream)
        if flow is None:
            return

        try:
            while flow.chunks:
                data, counted = flow.chunks[0]
                capacity = min(
                    target.http.local_flow_control_window(stream), target.http.max_outbound_frame_size
                )
                if capacity <= 0:
                    return

                target.http.send_data(stream, data[:capacity])
                if len(data) > capacity:
                    # The window is given back only when the whole chunk is sent.
                    flow.chunks[0] = (data[capacity:], counted)
                else:
                    flow.chunks.popleft()
                    source.acknowledge(counted, target.other.get(stream, 0))

            if flow.ends:
                self._finish(target, stream, flow)
                self._forget_if_over(source, target, stream)
        except ProtocolError:
            # The stream is over on that side.
            target.flows.pop(stream, None)
            for _, counted in flow.chunks:
                source.acknowledge(counted, target.other.get(stream, 0))

    def _finish(self, target: Http2Side, stream: int, flow: StreamFlow) -> None:
        target.flows.pop(stream, None)
        if flow.trailers is not None:
            target.http.send_headers(stream, flow.trailers, end_stream=True)
        else:
            target.http.end_stream(stream)

    def _forget_if_over(self, source: Http2Side, target: Http2Side, stream: int) -> None:
        """Drop the state of an exchange whose response is complete."""
        if target is self._program:
            self._forget(target, source, stream)

    def _forget(self, side: Http2Side, other: Http2Side, stream: int) -> None:
        there = side.other.pop(stream, None)
        other.other.pop(there or 0, None)
        here = stream if side is self._program else there
        outgoing = self._requests.pop(here or 0, None)
        if outgoing is not None:
            outgoing.on_end(whole=False)
        self._scrubbers.pop(here or 0, None)
