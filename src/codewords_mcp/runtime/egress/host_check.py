"""Compares the host that a program names inside its connection with the one that it connected to.

On a shared address, such as a CDN's, the name in the TLS handshake (SNI) or in `Host` decides which
site responds. Where a workflow may reach listed hosts only, both names must be the host that was
dialled. Content inside TLS, and protocols other than TLS and HTTP, are not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import httptools

from codewords_mcp.runtime.egress.client_hello import HANDSHAKE, MAX_BYTES, read_client_hello
from codewords_mcp.runtime.model.host_names import normal_host

_MAX_REQUEST_LINE: Final = 64 << 10
_VERSION: Final = re.compile(rb"HTTP/\d", re.IGNORECASE)
_ABSOLUTE: Final = re.compile(r"[a-z][a-z0-9+.-]*://([^/?#]*)", re.IGNORECASE)
_TEXT: Final = re.compile(rb"[\t\r\n\x0b\x0c\x20-\x7e\x80-\xff]*")
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]*)(?::\d*)?")

OTHER_SNI: Final = "it asked for another host by TLS (SNI) than it connected to"
NO_SNI: Final = "it names no host by TLS (SNI), so it cannot be compared with the host that it connected to"
BAD_HELLO: Final = "it begins as TLS, but its first message cannot be read"
OTHER_HOST: Final = "it asked for another host (Host) than it connected to"
BAD_HTTP: Final = "it begins as HTTP, but cannot be parsed"


class HostCheck:
    """Judges each chunk that a program sends on one connection:

    True passes it, False refuses it, None ends the check.

    `refused` gets the reason. `host` is the dialled name, as `normal_host` gives it.
    """

    def __init__(self, host: str, refused: Callable[[str], None]) -> None:
        self._host = host
        self._refused = refused
        self._first = b""
        self._requests: _Requests | None = None

    def __call__(self, piece: bytes) -> bool | None:
        """Judge a chunk before it is sent on."""
        if self._requests is not None:
            return self._judge_requests(piece)
        self._first += piece
        # TLS records of a handshake begin with 22; no HTTP method does.
        if self._first[0] == HANDSHAKE:
            return self._judge_hello()
        return self._judge_first_line()

    def _judge_hello(self) -> bool | None:
        try:
            hello = read_client_hello(self._first)
        except (ValueError, IndexError):
            return self._refuse(BAD_HELLO)

        if hello is None:
            # More is to come: what is here passes, since the host needs all of it to answer.
            if len(self._first) <= MAX_BYTES:
                return True
            return self._refuse(BAD_HELLO)
        if not hello.server_name:
            return self._refuse(NO_SNI)
        if normal_host(hello.server_name) == self._host:
            return None

        return self._refuse(OTHER_SNI)

    def _judge_first_line(self) -> bool | None:
        # Hosts ignore blank lines before a request (RFC 9112, 2.2).
        text = self._first.lstrip(b"\r\n")
        request_line, ended, _ = text.partition(b"\n")
        if not ended:
            # An unfinished first line may still become HTTP; anything else is another protocol.
            may_be_http = len(text) <= _MAX_REQUEST_LINE and _TEXT.fullmatch(text) is not None
            if may_be_http:
                return True
            return None

        # Hosts accept every kind of white space here (RFC 9112, 3).
        fields = request_line.split(None, 1)
        # One word is no request.
        if len(fields) < 2:
            return None
        if _VERSION.search(fields[1]) is None:
            return self._judge_http09(*fields)

        self._requests = _Requests(self._host)
        return self._judge_requests(text)

    def _judge_http09(self, method: bytes, target: bytes) -> bool | None:
        """Judge a request line without a version: HTTP/0.9, whose URL alone may name a host."""
        named = _ABSOLUTE.match(target.decode("latin-1").strip())
        if method.upper() not in {b"GET", b"HEAD", b"POST"} or named is None:
            return None
        # The name in the URL decides, as in any request with an absolute target.
        if _host_of(named[1].rpartition("@")[2]) == self._host:
            return None
        return self._refuse(OTHER_HOST)

    def _judge_requests(self, piece: bytes) -> bool | None:
        assert self._requests is not None  # noqa: S101  # set before the first call
        verdict = self._requests.feed(piece)
        if verdict == "":
            return True
        if verdict is None:
            return None
        return self._refuse(verdict)

    def _refuse(self, reason: str) -> bool:
        self._refused(reason)
        return False


class _Requests:
    """Parses all requests of a connection, with framing, so that none hides behind the first one's
    body.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._named: list[str] = []
        self._framing: list[bytes] = []
        self._target = b""
        self._other = False
        self._websocket = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, piece: bytes) -> str | None:
        """Reason to refuse the requests so far, empty without one; None once it is not HTTP."""
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade as offer:
            # A request that was seen before the upgrade still counts.
            if self._other:
                return OTHER_HOST
            # A websocket's frames are no HTTP: the connection is the host's from here on.
            if self._websocket:
                return None
            return self._ignore_offer(piece[offer.args[0] :])
        except httptools.HttpParserError:
            if self._other:
                return OTHER_HOST
            return BAD_HTTP

        if self._other:
            return OTHER_HOST

        return ""

    def _ignore_offer(self, rest: bytes) -> str | None:
        """Continue like a host that declines the upgrade: httptools reads no body of such a
        request.
        """
        # The parser is replaced by one that has read the same head without the offer, then the
        # body.
        head = [b"POST / HTTP/1.1", b"host: " + self._host.encode(), *self._framing, b"", b""]
        self._parser = httptools.HttpRequestParser(self)
        return self.feed(b"\r\n".join(head) + rest)

    def on_message_begin(self) -> None:
        self._named, self._framing, self._target, self._websocket = [], [], b"", False

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"host":
            self._named.append(value.decode("latin-1"))
        elif name.lower() in {b"content-length", b"transfer-encoding"}:
            self._framing.append(name + b": " + value)
        elif name.lower() == b"upgrade" and value.strip().lower() == b"websocket":
            self._websocket = True

    def on_headers_complete(self) -> None:
        target = self._target.decode("latin-1")
        named = [*self._named]
        # Of any scheme: hosts read the name in it all the same.
        if absolute := _ABSOLUTE.match(target):
            named.append(absolute[1].rpartition("@")[2])
        elif self._parser.get_method() == b"CONNECT":
            named.append(target)
        # HTTP/1.1 requires a Host; without one a shared address would choose a site itself.
        if not named and self._parser.get_http_version() != "1.0":
            self._other = True
        # Every name counts: hosts differ in which of two they follow.
        self._other = self._other or any(_host_of(text) != self._host for text in named)


def _host_of(authority: str) -> str | None:
    matched = _AUTHORITY.fullmatch(authority.strip().lower())
    if matched:
        return normal_host(matched[1])
    return None
