"""Reading of HTTP as it passes, however it is cut; and of what is none."""

from __future__ import annotations

import contextlib
import gzip
import socket
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.runtime.egress.intercept.http1_observer import Http1Observer
from codewords_mcp.runtime.egress.intercept.http2_observer import PREFACE, Http2Observer
from codewords_mcp.runtime.egress.intercept.interception import Interception
from codewords_mcp.runtime.egress.intercept.observation import (
    MAX_UNANSWERED,
    GuardedObserver,
    NotHttp,
    Observation,
    Observer,
)
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.egress.relay import Traffic
from codewords_mcp.runtime.recording.exchange_log import MAX_RUN_BYTES, MAX_RUN_HEAD_BYTES, ExchangeLog
from codewords_mcp.runtime.recording.exchanges import Exchange, size_of
from codewords_mcp.runtime.recording.packed import HIDES_VALUE, TOO_LONG
from codewords_mcp.runtime.recording.recorder import LiveRecorder
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber

pytestmark = pytest.mark.requirement("recording:untouched")

Split = Callable[[bytes], Iterable[bytes]]
Parts = list[tuple[str, bytes]]
"""Data in the order in which it passes, each from `>` the program or `<` the host."""


def whole(data: bytes) -> list[bytes]:
    return [data]


def each(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


class Watched:
    """An observer, and the log of what it tells."""

    def __init__(self, make: Callable[[Observation], Observer], values: dict[str, str] | None = None) -> None:
        self.log = ExchangeLog()
        interception = Interception([], records=True)
        interception.recording = RecordingSession(LiveRecorder(), Scrubber(values or {}), self.log)

        async def dial() -> socket.socket:
            raise AssertionError

        session = InterceptSession(
            interception, "api.example", 443, dial, refused=print, used=print, traffic=Traffic()
        )
        self.observer = make(Observation(session))

    def feed(self, parts: Parts, split: Split) -> tuple[Exchange, ...]:
        for side, data in parts:
            read = self.observer.sent if side == ">" else self.observer.received
            for piece in split(data):
                read(piece)
        return self.log.exchanges()


def told(exchange: Exchange) -> tuple[str, bytes | None, int, bytes, bool]:
    return exchange.request.method, exchange.request.body, exchange.status, exchange.body, exchange.whole


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n002\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
MESSAGES: dict[str, tuple[Parts, list[tuple[str, bytes | None, int, bytes, bool]]]] = {
    "lengths": (
        [(">", b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"), ("<", OK)],
        [("POST", b"body", 200, b"ok", True)],
    ),
    "chunks": (
        [(">", b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), ("<", CHUNKS)],
        [("PUT", b"a", 200, b"abcde", True)],
    ),
    "no bodies": (
        [
            (">", b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
            ("<", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            ("<", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            ("<", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ],
        [("HEAD", b"", 200, b"", True), ("GET", b"", 304, b"", True), ("GET", b"", 204, b"", True)],
    ),
    "interim": (
        [
            (">", b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
            ("<", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"),
            (">", b"b"),
            ("<", OK),
        ],
        [("POST", b"b", 200, b"ok", True)],
    ),
    "answered early": (
        [(">", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf"), ("<", OK)],
        [("POST", None, 200, b"ok", True)],
    ),
    "blank lines": (
        [(">", b"\r\nGET / HTTP/1.1\r\n\r\n"), ("<", OK), (">", b"\r\nGET / HTTP/1.0\r\n\r\n"), ("<", OK)],
        [("GET", b"", 200, b"ok", True)] * 2,
    ),
    "cut": (
        [(">", b"GET / HTTP/1.1\r\n\r\n"), ("<", OK[:-1])],
        [("GET", b"", 200, b"o", False)],
    ),
    "another protocol": (
        [
            (">", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
            ("<", b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02hi"),
            (">", b"\x81\x82GET / HTTP/1.1\r\n\r\n"),
        ],
        [("GET", b"", 101, b"", False)],
    ),
}


@pytest.mark.parametrize("split", [whole, each], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("name", MESSAGES)
def test_messages_of_http1_are_read_as_both_ends_read_them(name: str, split: Split) -> None:
    parts, expected = MESSAGES[name]
    watched = Watched(Http1Observer)
    watched.feed(parts, split)
    watched.observer.end()
    assert [told(one) for one in watched.log.exchanges()] == expected
    assert all(one.ended is not None for one in watched.log.exchanges())


def test_trailers_of_chunks_stand_with_the_headers_and_what_follows_them_is_read() -> None:
    watched = Watched(Http1Observer)
    asked = b"GET / HTTP/1.1\r\n\r\n"
    first, second = watched.feed([(">", asked * 2), ("<", CHUNKS), ("<", OK)], each)
    assert first.headers == [(b"transfer-encoding", b"chunked"), (b"trailer", b"x")]
    assert (second.body, second.whole) == (b"ok", True)


def test_a_body_without_a_length_is_complete_when_the_host_ends() -> None:
    for ended in (True, False):
        watched = Watched(Http1Observer)
        parts: Parts = [(">", b"GET / HTTP/1.1\r\n\r\n"), ("<", b"HTTP/1.1 200 OK\r\n\r\nall of it")]
        watched.feed(parts, whole)
        if ended:
            watched.observer.host_ended()
        watched.observer.end()
        (exchange,) = watched.log.exchanges()
        assert (exchange.body, exchange.whole) == (b"all of it", ended)


@pytest.mark.parametrize(
    "parts",
    [
        [("<", b"220 mail ready\r\n")],
        [("<", OK)],
        [(">", b"\x00\x00\x00\x08")],
        [(">", b"EHLO there\r\n\r\n")],
        [(">", b"GET / HTTP/2.0\r\n\r\n")],
        [(">", b"CONNECT a:1 HTTP/1.1\r\n\r\n")],
        [(">", b"GET / HTTP/1.1\r\nno colon\r\n\r\n")],
        [(">", b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n")],
        [(">", b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 19))],
        [(">", b"GET / HTTP/1.1\r\n\r\n"), ("<", b"SSH-2.0-x\r\n")],
        [(">", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")],
        [(">", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n")],
    ],
)
def test_what_is_no_http1_is_noticed(parts: Parts) -> None:
    with pytest.raises(NotHttp):
        Watched(Http1Observer).feed(parts, whole)


class Ends:
    """Both ends of an HTTP/2 connection, whose bytes are collected."""

    def __init__(self) -> None:
        self.program = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.host = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.parts: Parts = []
        self.program.initiate_connection()
        self.host.initiate_connection()
        self.settle()

    def settle(self) -> None:
        """Let either end hear what the other has said."""
        while True:
            said, answered = self.program.data_to_send(), self.host.data_to_send()
            if said:
                self.parts.append((">", said))
                self.host.receive_data(said)
            if answered:
                self.parts.append(("<", answered))
                self.program.receive_data(answered)
            if not said and not answered:
                return


HEAD = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"api.example"),
    (b":path", b"/svc/Call"),
]


@pytest.mark.parametrize("split", [whole, each], ids=["whole", "byte by byte"])
def test_streams_of_http2_are_read_with_padding_trailers_and_resets(split: Split) -> None:
    ends = Ends()
    grpc = (b"content-type", b"application/grpc")
    for stream in (1, 3, 5):
        # A long header is cut into several frames.
        more = (b"x-long", b"y" * 20_000) if stream == 3 else (b"x-short", b"y")
        ends.program.send_headers(stream, [*HEAD, grpc, more])
        ends.program.send_data(stream, b"\x00\x00\x00\x00\x02hi", end_stream=True, pad_length=7)
    ends.settle()
    for stream in (3, 1, 5):
        ends.host.send_headers(stream, [(b":status", b"103")])
        ends.host.send_headers(stream, [(b":status", b"200"), grpc])
        ends.host.send_data(stream, b"first", pad_length=3)
    ends.host.send_data(1, b"second")
    ends.host.send_headers(1, [(b"grpc-status", b"0")], end_stream=True)
    ends.host.end_stream(3)
    ends.settle()
    ends.program.reset_stream(5)
    ends.settle()

    watched = Watched(Http2Observer)
    first, long, cut = watched.feed(ends.parts, split)
    assert told(first) == ("POST", b"\x00\x00\x00\x00\x02hi", 200, b"firstsecond", True)
    assert (first.request.url, first.request.writes) == ("https://api.example/svc/Call", True)
    assert dict(first.headers) == {b"content-type": b"application/grpc", b"grpc-status": b"0"}
    assert told(long)[2:] == (200, b"first", True)
    assert dict(long.request.headers)[b"x-long"] == b"y" * 20_000
    assert told(cut)[2:] == (200, b"first", False)
    assert cut.ended is not None


def test_an_early_answer_or_reset_of_http2_leaves_no_second_request_behind() -> None:
    ends = Ends()
    for stream in (1, 3):
        ends.program.send_headers(stream, HEAD)
    ends.settle()
    ends.host.send_headers(1, [(b":status", b"413")], end_stream=True)
    ends.host.reset_stream(3)
    # The program had said more before it heard of that.
    for stream in (1, 3):
        ends.program.send_data(stream, b"more")
        ends.program.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    late = ends.program.data_to_send()
    watched = Watched(Http2Observer)
    early, cut = watched.feed([*ends.parts, ("<", ends.host.data_to_send()), (">", late)], each)
    assert told(early) == ("POST", None, 413, b"", True)
    assert told(cut) == ("POST", None, 0, b"", False)


def test_a_thousand_streams_of_http2_are_told_apart() -> None:
    ends = Ends()
    ends.host.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
    ends.settle()
    streams = range(1, 2001, 2)
    for stream in streams:
        path = (b":path", b"/%d" % stream)
        ends.program.send_headers(stream, [*HEAD[:3], path], end_stream=True)
    ends.settle()
    for stream in reversed(streams):
        if stream % 3:
            ends.host.send_headers(stream, [(b":status", b"200")])
            ends.host.send_data(stream, b"for %d" % stream, end_stream=True)
        else:
            ends.host.reset_stream(stream)
    ends.settle()
    exchanges = Watched(Http2Observer).feed(ends.parts, whole)
    assert len(exchanges) == 1000
    for stream, one in zip(streams, exchanges, strict=True):
        assert one.request.url.endswith(f"/{stream}")
        assert (one.body, one.whole) == ((b"for %d" % stream, True) if stream % 3 else (b"", False))


def test_messages_of_a_websocket_over_http2_are_counted_and_not_kept() -> None:
    ends = Ends()
    ends.program.send_headers(1, [(b":method", b"CONNECT"), (b":authority", b"api.example")])
    ends.settle()
    ends.host.send_headers(1, [(b":status", b"200")])
    ends.host.send_data(1, b"a message")
    ends.settle()
    (opened,) = Watched(Http2Observer).feed(ends.parts, whole)
    assert (opened.status, opened.body, opened.size) == (200, b"", 9)


def test_requests_that_nobody_answers_fill_no_memory() -> None:
    padding = b"x" * 200_000
    watched = Watched(Http1Observer)
    for _ in range(1000):
        watched.observer.sent(b"GET / HTTP/1.1\r\nX: %b\r\n\r\n" % padding)
    kept = watched.log.exchanges()
    assert sum(size_of(one.request.headers) for one in kept) <= MAX_RUN_HEAD_BYTES
    assert "longer than is kept" in watched.log.truncated
    with pytest.raises(NotHttp):
        watched.observer.sent(b"GET / HTTP/1.1\r\n\r\n" * (MAX_UNANSWERED + 1))

    open_bodies = Watched(Http2Observer)
    ends = Ends()
    for stream in range(1, 120, 2):
        ends.program.send_headers(stream, HEAD)
    ends.settle()
    open_bodies.feed(ends.parts, whole)
    frame = b"\x00\x40\x00\x00\x00" + b"%b" + b"b" * (1 << 14)
    tracemalloc.start()
    try:
        # Each body stays below what is kept of one.
        for stream in range(1, 120, 2):
            for _ in range(60):
                open_bodies.observer.sent(frame % stream.to_bytes(4))
        assert tracemalloc.get_traced_memory()[0] < MAX_RUN_BYTES + (2 << 20)
    finally:
        tracemalloc.stop()


def test_what_is_no_http2_is_noticed() -> None:
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE + b"\x00\x00\x01\x01\x04\x00\x00\x00\x01\xff",
        PREFACE + b"\xff\xff\xff\x01\x00\x00\x00\x00\x01",
    ):
        with pytest.raises(NotHttp):
            Watched(Http2Observer).feed([(">", data)], whole)


VALUE = b"a-secret-value"
TWICE = gzip.compress(gzip.compress(b"holds " + VALUE))
COMPRESSED = {
    "br": (b"abcd", "br", "compressed by br"),
    "zstd": (b"\x28\xb5\x2f\xfdabcd", "zstd", "compressed by zstd"),
    "unknown": (b"abcd", "x-\x1b[31m<b>", "compressed by an unknown coding"),
    "br within gzip": (gzip.compress(b"abcd"), "br, gzip", "compressed by br"),
    "gzip with a value": (gzip.compress(VALUE), "gzip", HIDES_VALUE),
    "gzip twice with a value": (TWICE, "gzip, gzip", HIDES_VALUE),
    "gzip twice, one named": (TWICE, "gzip", HIDES_VALUE),
    "gzip twice, none named": (TWICE, "", HIDES_VALUE),
    "deflate within gzip": (gzip.compress(zlib.compress(VALUE)), "deflate, gzip", HIDES_VALUE),
    "a bomb": (gzip.compress(bytes(9 << 20)), "gzip", TOO_LONG),
    "a bomb in a bomb": (gzip.compress(gzip.compress(bytes(9 << 20))), "gzip", TOO_LONG),
    "no gzip": (b"plain", "gzip", "not compressed as its header says"),
    "too many": (b"plain", "gzip," * 9, "more than 4 codings"),
    "harmless": (gzip.compress(gzip.compress(b"harmless")), "gzip, identity, gzip", ""),
    "like gzip": (b"\x1f\x8b\x08 no gzip", "", ""),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_compressed_body_that_may_hide_a_value_is_not_kept(name: str) -> None:
    body, coding, reason = COMPRESSED[name]
    named = b"Content-Encoding: %b\r\n" % coding.encode() if coding else b""
    head = b"%b\r\n" + named + b"Content-Length: %d\r\n\r\n" % len(body)
    parts: Parts = [(">", head % b"POST / HTTP/1.1" + body), ("<", head % b"HTTP/1.1 200 OK" + body)]
    for values, why in (({}, ""), ({"KEY": VALUE.decode()}, reason)):
        (exchange,) = Watched(Http1Observer, values).feed(parts, whole)
        kept = b"" if why else body
        assert (exchange.body, exchange.whole, exchange.size) == (kept, not why, len(body))
        assert exchange.request.body == (None if why else body)
        assert why in exchange.note
        assert exchange.why_not_replayable == exchange.note


@given(st.lists(st.tuples(st.sampled_from("<>"), st.binary(max_size=200)), max_size=6), st.booleans())
def test_no_bytes_break_the_reading(parts: Parts, http2: bool) -> None:
    begun: Parts = [(">", PREFACE)] if http2 else [(">", b"GET / HTTP/1.1\r\n\r\n")]
    watched = Watched(Http2Observer if http2 else Http1Observer)
    with contextlib.suppress(NotHttp):
        watched.feed(begun + parts, whole)
    watched.observer.end()
    assert all(one.ended is not None for one in watched.log.exchanges())


class Faulty:
    """An observer that fails at everything, as one whose recorder does."""

    def sent(self, data: bytes) -> None:
        raise RuntimeError

    def received(self, data: bytes) -> None:
        raise RuntimeError

    def host_ended(self) -> None:
        raise RuntimeError

    def end(self) -> None:
        raise RuntimeError


@pytest.mark.parametrize("step", ["sent", "received", "host_ended", "end"])
def test_an_observer_that_fails_ends_the_reading_and_no_connection(step: str) -> None:
    failures: list[str] = []
    observer = GuardedObserver(Faulty(), lambda: failures.append(step))
    arguments = [b"data"] if step in {"sent", "received"} else []
    for _ in range(2):
        getattr(observer, step)(*arguments)
    observer.end()
    assert failures == ([] if step == "end" else [step])
