"""One HTTP/1.1 exchange with an address that the egress policy permits, over a connection of its own.

Thousands of looks an hour go this way, and a general client costs three times the processor time of an exchange.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from codewords_mcp.common.http1 import ResponseConnection
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.web.dial import connect_to_first

if TYPE_CHECKING:
    import httpx2

_TOKEN: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_MAY_LACK_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_BREAKS: Final = frozenset(b"\r\n\0")


class LenientConnection(ResponseConnection):
    """A connection that carries one exchange, so that nothing which a lenient parser accepts reaches another one."""

    @override
    def begin(self, *, head_only: bool, until: float | None = None) -> None:
        super().begin(head_only=head_only, until=until)
        # Feeds come from servers that bend the rules: folded lines, two lengths, lines without CR.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_data_after_close=True,
            lenient_optional_lf_after_cr=True,
            lenient_optional_cr_before_lf=True,
            lenient_optional_crlf_after_chunk=True,
            lenient_spaces_after_chunk_size=True,
        )

    def send(self, data: bytes) -> None:
        """Send the request."""
        if self._transport is not None:
            self._transport.write(data)


class WebExchange:
    """A request and its response: `send`, read `body`, `close`. Limits neither time nor bytes.

    `tls` is None for a plain connection.
    """

    def __init__(self, target: httpx2.URL, port: int, tls: ssl.SSLContext | None) -> None:
        self._target = target
        self._port = port
        self._tls = tls
        self._connection: LenientConnection | None = None
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names are in lower case; of a header that comes several times the last one counts."""
        self.set_cookies: list[str] = []

    async def send(
        self, addresses: Sequence[str], method: str, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        """Send the request to one of `addresses`, which are permitted, and wait for the response's head.

        Raises OSError, InvalidInput for headers that HTTP can't carry.
        """
        head = _encode_head(method, self._target, headers, body)
        connection = self._connection = await self._connect(addresses)
        connection.begin(head_only=method == "HEAD")
        connection.send(head + (body or b""))

        await connection.head()
        self.status = connection.status
        for name, value in connection.headers:
            text = _decode(value)
            self.headers[name.decode("latin-1")] = text
            # The only header that may come several times and must not be joined (RFC 6265, 3).
            if name == b"set-cookie":
                self.set_cookies.append(text)

    async def _connect(self, addresses: Sequence[str]) -> LenientConnection:
        sock = await connect_to_first(addresses, self._port)
        try:
            if self._tls is not None:
                name = self._target.raw_host.decode()
            else:
                name = None
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(
                LenientConnection, sock=sock, ssl=self._tls, server_hostname=name
            )
        # A socket that was given to asyncio is not closed by it where the handshake fails.
        except BaseException:
            sock.close()
            raise
        return connection

    async def body(self) -> AsyncIterator[bytes]:
        """The body's chunks as they came. Raises OSError."""
        if self._connection is not None:
            while (chunk := await self._connection.next()) is not None:
                yield chunk

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._connection is not None:
            self._connection.abort()


def _encode_head(method: str, target: httpx2.URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
    lines = [method.encode() + b" " + target.raw_path + b" HTTP/1.1"]
    # Last, over a header of the caller: the connection carries one exchange.
    sent = {"host": target.netloc.decode(), **headers, "connection": "close"}
    # Servers refuse a POST that does not say its length, also where it has no body (411).
    if body is not None or method not in _MAY_LACK_BODY:
        sent["content-length"] = str(len(body or b""))

    for name, value in sent.items():
        line = name.encode(), value.strip().encode()
        # A line break would begin another header, or another request.
        if not name or not _TOKEN.issuperset(line[0]) or not _BREAKS.isdisjoint(line[1]):
            raise InvalidInput("A header has characters that HTTP does not allow.")
        lines.append(b": ".join(line))
    return b"\r\n".join([*lines, b"", b""])


def _decode(value: bytes) -> str:
    """Text of a header: UTF-8, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
