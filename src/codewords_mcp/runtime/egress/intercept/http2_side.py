"""One side of an intercepted HTTP/2 connection: its streams, windows and settings."""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from codewords_mcp.runtime.egress.intercept.credentials import Headers
from codewords_mcp.runtime.egress.intercept.session import TlsStream

_STREAM_WINDOW: Final = 1 << 20
# Bytes in flight at most, per stream and in total.
_WINDOW: Final = 4 << 20
_MAX_HEADERS: Final = 64 << 10


@dataclass(slots=True)
class StreamFlow:
    """Pending data of one stream: (bytes, window to replenish for them), then perhaps its end."""

    chunks: deque[tuple[bytes, int]] = field(default_factory=deque[tuple[bytes, int]])
    ends: bool = False
    trailers: Headers | None = None


class Http2Side:
    """One connection, its peer's id for each stream, and data that waits for its windows."""

    def __init__(self, tls: TlsStream, *, client: bool) -> None:
        self.tls = tls
        self.http = H2Connection(
            H2Configuration(client_side=client, header_encoding=None, validate_inbound_headers=True)
        )
        self.other: dict[int, int] = {}
        """Its stream → the other side's."""
        self.flows: dict[int, StreamFlow] = {}

    def begin(self, streams: int) -> None:
        """Prepare the initial settings."""
        self.http.local_settings = self.http.local_settings.__class__(
            client=self.http.config.client_side,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_CONCURRENT_STREAMS: streams,
                SettingCodes.INITIAL_WINDOW_SIZE: _STREAM_WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADERS,
            },
        )
        # A server may not send this setting (RFC 9113, 6.5.2).
        if not self.http.config.client_side:
            del self.http.local_settings[SettingCodes.ENABLE_PUSH]
        self.http.initiate_connection()
        self.http.increment_flow_control_window(_WINDOW)

    async def flush(self) -> None:
        """Send pending bytes. Raises OSError."""
        await self.tls.send(self.http.data_to_send())

    def acknowledge(self, size: int, stream: int) -> None:
        """Allow the peer to send so many further bytes."""
        if size:
            # The stream may be over.
            with contextlib.suppress(ProtocolError):
                self.http.acknowledge_received_data(size, stream)

    def reset(self, stream: int | None, code: ErrorCodes) -> None:
        """Reset a stream."""
        if stream is not None:
            self.flows.pop(stream, None)
            # A stream that is over needs no reset.
            with contextlib.suppress(ProtocolError):
                self.http.reset_stream(stream, code)
