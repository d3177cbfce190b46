"""HTTP/1.1 as it passes: heads are read, bodies are cut out of their framing, and nothing is changed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.observation import (
    MAX_HEAD_BYTES,
    MAX_UNANSWERED,
    NotHttp,
    Observation,
    PassingExchange,
)

CHUNKED: Final = -1
UNTIL_END: Final = -2
INTERIM: Final = -3
SWITCHED: Final = -4
"""How long a body is, where it states no length. After an interim head the message's own follows, after a switch nothing."""

_END: Final = b"\r\n\r\n"
_REQUEST: Final = re.compile(rb"[A-Z]{1,24}( .*)?", re.DOTALL)
_RESPONSE: Final = b"HTTP/1."
_MAX_LINE: Final = 16 << 10
_MAX_TRAILERS: Final = 1000
_SWITCHING: Final = 101
_BODILESS: Final = frozenset({204, 304})


class MessageReader:
    """Reads the messages of one direction. `on_head` gets a head without its end, and says how long the body is.

    `on_trailers` gets the lines that follow a body in chunks. `plausible`: whether a head may begin so.
    """

    def __init__(
        self,
        on_head: Callable[[bytes], int],
        on_body: Callable[[bytes], None],
        on_trailers: Callable[[bytes], None],
        on_end: Callable[[], None],
        plausible: Callable[[bytes], bool],
    ) -> None:
        self._plausible = plausible
        self._on_head = on_head
        self._on_body = on_body
        self._on_trailers = on_trailers
        self._on_end = on_end
        self._trailer_lines: list[bytes] = []
        self._trailer_bytes = 0
        self._step = self._head
        self._unread = b""
        self._left = 0

    def feed(self, data: bytes) -> None:
        """Read on. Raises NotHttp."""
        if self._unread:
            data, self._unread = self._unread + data, b""
        while data:
            data = self._step(data)

    def switch(self) -> None:
        """Read no further: another protocol follows."""
        self._step, self._unread = self._other_protocol, b""

    def end(self) -> None:
        """Nothing more comes: a body without a stated length is complete."""
        # Only such a body ends with the connection; any other was cut off.
        complete = self._step == self._until_end
        self.switch()
        if complete:
            self._on_end()

    # Each step takes what it can of the data and returns the rest.
    def _head(self, data: bytes) -> bytes:
        # Blank lines before a message are ignored (RFC 9112, 2.2).
        data = data.lstrip(b"\r\n")
        at = data.find(_END)
        if at < 0:
            # Another protocol is noticed by its first bytes, and is not gathered up to the limit.
            if data and (len(data) > MAX_HEAD_BYTES or not self._plausible(data)):
                raise NotHttp
            self._unread = data
            return b""

        self._begin(self._on_head(data[:at]))
        return data[at + len(_END) :]

    def _begin(self, length: int) -> None:
        if length == CHUNKED:
            self._step = self._chunk_size
        elif length == UNTIL_END:
            self._step = self._until_end
        elif length == SWITCHED:
            self.switch()
        elif length > 0:
            self._left, self._step = length, self._body
        elif length == 0:
            self._over()

    def _over(self) -> None:
        if self._step != self._other_protocol:
            self._step = self._head
        self._on_end()

    def _body(self, data: bytes) -> bytes:
        rest = self._take(data)
        if not self._left:
            self._over()
        return rest

    def _take(self, data: bytes) -> bytes:
        """Take what is left of a body or of a chunk; the rest of the data."""
        piece, rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self._on_body(piece)
        return rest

    def _chunk_size(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line is None:
            return b""
        try:
            self._left = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            raise NotHttp from None
        if self._left < 0:
            raise NotHttp
        self._step = self._chunk if self._left else self._trailers
        return rest

    def _chunk(self, data: bytes) -> bytes:
        rest = self._take(data)
        if not self._left:
            self._step = self._chunk_end
        return rest

    def _chunk_end(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line:
            raise NotHttp
        if line is not None:
            self._step = self._chunk_size
        return rest

    def _trailers(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line is None:
            return b""
        if line:
            self._trailer_bytes += len(line)
            self._trailer_lines.append(line)
            if self._trailer_bytes > MAX_HEAD_BYTES or len(self._trailer_lines) > _MAX_TRAILERS:
                raise NotHttp
            return rest

        if self._trailer_lines:
            lines, self._trailer_lines, self._trailer_bytes = self._trailer_lines, [], 0
            self._on_trailers(b"\r\n".join(lines))
        self._over()
        return rest

    def _line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """(the line, the rest); (None, b"") if it is not complete."""
        line, ended, rest = data.partition(b"\r\n")
        if ended:
            return line, rest
        if len(data) > _MAX_LINE:
            raise NotHttp
        self._unread = data
        return None, b""

    def _until_end(self, data: bytes) -> bytes:
        self._on_body(data)
        return b""

    def _other_protocol(self, _: bytes) -> bytes:
        return b""


class Http1Observer:
    """The requests and responses of one connection, in their order."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation
        self._requests = MessageReader(
            self._on_request, self._on_request_body, _pass_over, self._on_request_end, begins_request
        )
        self._responses = MessageReader(
            self._on_response,
            self._on_response_body,
            self._on_trailers,
            self._on_response_end,
            _begins_response,
        )
        self._current: PassingExchange | None = None
        # Requests without a response; programs may send several ahead.
        self._open: deque[PassingExchange] = deque()
        self._switched: PassingExchange | None = None

    def sent(self, data: bytes) -> None:
        """See `Observer`."""
        self._requests.feed(data)

    def received(self, data: bytes) -> None:
        """See `Observer`."""
        if self._switched is not None:
            self._switched.count(len(data))
            return
        self._responses.feed(data)

    def host_ended(self) -> None:
        """See `Observer`."""
        self._responses.end()

    def end(self) -> None:
        """See `Observer`."""
        for exchange in (self._switched, *self._open):
            if exchange is not None:
                exchange.end(whole=False)
        self._open.clear()

    def _on_request(self, head: bytes) -> int:
        first, _, lines = head.partition(b"\r\n")
        words = first.split(b" ")
        if len(words) != 3 or words[2][:7] != b"HTTP/1." or not words[0].isalpha() or words[0] == b"CONNECT":
            raise NotHttp
        # A program could pipeline requests to a host that never answers.
        if len(self._open) >= MAX_UNANSWERED:
            raise NotHttp

        headers = read_headers(lines)
        named = dict(headers)
        self._current = self._observation.begin(
            words[0].decode(), words[1], headers, upgrades=b"upgrade" in named
        )
        self._open.append(self._current)
        return _stated_length(named, 0)

    def _on_request_body(self, piece: bytes) -> None:
        if self._current is not None:
            self._current.request_body(piece)

    def _on_request_end(self) -> None:
        if self._current is not None:
            self._current.request_end()
            self._current = None

    def _on_response(self, head: bytes) -> int:
        first, _, lines = head.partition(b"\r\n")
        # A response that nobody asked for, as when an idle connection is ended.
        if not self._open or first[:7] != b"HTTP/1." or not first[9:12].isdigit():
            raise NotHttp

        status, exchange = int(first[9:12]), self._open[0]
        headers = read_headers(lines)
        if status == _SWITCHING:
            exchange.response(status, headers)
            self._switched = self._open.popleft()
            # After 101 the program's side speaks the other protocol as well.
            self._requests.switch()
            return SWITCHED
        # RFC 9110, 15.2: any number of these come before the response, to the same request.
        if status < 200:
            return INTERIM

        exchange.response(status, headers)
        # RFC 9112, 6.3: these have no body, whatever length they state.
        if exchange.method == "HEAD" or status in _BODILESS:
            return 0
        return _stated_length(dict(headers), UNTIL_END)

    def _on_response_body(self, piece: bytes) -> None:
        self._open[0].response_body(piece)

    def _on_trailers(self, lines: bytes) -> None:
        self._open[0].trailers(read_headers(lines))

    def _on_response_end(self) -> None:
        self._open.popleft().end(whole=True)


def _pass_over(_lines: bytes) -> None:
    """Trailers of a request: hosts pass over them too."""


def begins_request(data: bytes) -> bool:
    """Whether a request may begin so."""
    return _REQUEST.fullmatch(data) is not None


def _begins_response(data: bytes) -> bool:
    return data[: len(_RESPONSE)] == _RESPONSE[: len(data)]


def read_headers(lines: bytes) -> Headers:
    """The headers of a head, with names in small letters. Raises NotHttp."""
    headers: Headers = []
    for line in lines.split(b"\r\n") if lines else ():
        name, colon, value = line.partition(b":")
        if not colon:
            raise NotHttp
        headers.append((name.lower(), value.strip()))
    return headers


def _stated_length(named: dict[bytes, bytes], otherwise: int) -> int:
    coding = named.get(b"transfer-encoding")
    if coding is not None and coding.lower().endswith(b"chunked"):
        # RFC 9112, 6.3: a transfer coding overrides a stated length.
        return CHUNKED
    length = named.get(b"content-length")
    if length is None:
        return otherwise
    if not length.isdigit():
        raise NotHttp
    return int(length)
