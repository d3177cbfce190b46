"""Data between two TLS connections: decrypted, read, and encrypted anew."""

from __future__ import annotations

import ssl

from codewords_mcp.runtime.egress.intercept import unread
from codewords_mcp.runtime.egress.intercept.observation import GuardedObserver
from codewords_mcp.runtime.egress.intercept.tls_end import TlsEnd
from codewords_mcp.runtime.egress.intercept.trust import TrustedHost


class TlsPassage:
    """Decrypts what one side says, has it read, and encrypts it for the other."""

    def __init__(self, program: TlsEnd, host: TlsEnd, trusted: TrustedHost) -> None:
        self._program = program
        self._host = host
        self._trusted = trusted
        self.observer: GuardedObserver | None = None
        self.heard = False
        """The program has sent something."""
        self.distrusted = False
        """The program has refused the certificate."""

    def sent(self, data: bytes) -> bytes:
        """Bytes of the program, as bytes for the host. See `relay.Filter`."""
        try:
            pieces = _pass_on(self._program, self._host, data)
        except ssl.SSLError as error:
            # At TLS 1.3 an alert may come after the handshake.
            self.distrusted = unread.distrusts(error)
            raise

        self.heard = self.heard or bool(pieces)
        if self.observer is not None:
            for piece in pieces:
                self.observer.sent(piece)
        return self._host.take()

    def received(self, data: bytes) -> bytes:
        """Bytes of the host, as bytes for the program. See `relay.Filter`."""
        if not data and self.observer is not None:
            self.observer.host_ended()
        return self._received(data)

    def received_first(self) -> bytes:
        """Data that the host sent together with its handshake, as bytes for the program."""
        return self._received(b"")

    def _received(self, data: bytes) -> bytes:
        pieces = _pass_on(self._host, self._program, data)
        if self.observer is not None:
            for piece in pieces:
                self.observer.received(piece)
        if pieces:
            self._trusted.remember(self._host)
        return self._program.take()


def _pass_on(source: TlsEnd, target: TlsEnd, data: bytes) -> list[bytes]:
    pieces = source.decrypt(data)
    for piece in pieces:
        target.encrypt(piece)
    if source.closed:
        target.close()
    return pieces
