"""Trust in the hosts that programs connect to, as the runtime judges it."""

from __future__ import annotations

import functools
import socket
import ssl
import weakref
from typing import Any, Final

from codewords_mcp.runtime.egress.intercept import unread
from codewords_mcp.runtime.egress.intercept.tls_end import TlsEnd
from codewords_mcp.runtime.sandboxes.authorities import of_machine

_HTTP: Final = ("h2", "http/1.1")
_MAX_KNOWN: Final = 1000
_CERTIFICATE_REQUEST: Final = 13


@functools.lru_cache(maxsize=16)
def upstream_context(protocols: tuple[str, ...]) -> ssl.SSLContext:
    """TLS context that verifies certificates and names; offers `protocols` by ALPN, if any.

    Trusts the machine's authorities (`SSL_CERT_FILE` if set).
    """
    context = ssl.create_default_context(cadata=of_machine())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


@functools.lru_cache(maxsize=16)
def _watching_context(protocols: tuple[str, ...]) -> ssl.SSLContext:
    """Like `upstream_context`, for a host's first handshake: notes whether it asks for a certificate."""
    context = upstream_context.__wrapped__(protocols)

    def on_message(tls: Any, direction: str, _version: Any, _type: Any, kind: Any, _data: bytes) -> None:
        if direction == "read" and kind == _CERTIFICATE_REQUEST and isinstance(tls, ssl.SSLObject):
            _requesting.add(tls)

    # Python has no public way to learn it; without this one such a host is noticed when it refuses.
    if hasattr(context, "_msg_callback"):
        context._msg_callback = on_message  # noqa: SLF001  # pyright: ignore[reportAttributeAccessIssue]
    return context


_Key = tuple[str, int, tuple[str, ...]]
# Of hosts that were connected to and asked for no certificate: the session that may be resumed.
_sessions: dict[_Key, ssl.SSLSession | None] = {}
# Connections on which a host has asked for a certificate.
_requesting: weakref.WeakSet[ssl.SSLObject] = weakref.WeakSet()


def _remember(key: _Key, session: ssl.SSLSession | None) -> None:
    # Cleared whole, since hosts can be learned again.
    if len(_sessions) >= _MAX_KNOWN:
        _sessions.clear()
    _sessions[key] = session


def forget_hosts() -> None:
    """Forget what was learned with the authorities that this machine trusted before."""
    for cached in (of_machine, upstream_context, _watching_context):
        cached.cache_clear()
    _sessions.clear()


class TrustedHost:
    """A handshake with a host, which resumes an earlier session where there is one."""

    def __init__(self, host: str, port: int, offered: tuple[str, ...]) -> None:
        self._host = host
        protocols = tuple(name for name in offered if name in _HTTP)
        self._key = host, port, protocols
        self._known = self._key in _sessions
        if self._known:
            self._context = upstream_context(protocols)
        else:
            self._context = _watching_context(protocols)
        self._remembered = False
        self._end: TlsEnd | None = None

    async def handshake(self, sock: socket.socket) -> TlsEnd:
        """Agree with the host and check its certificate. Raises OSError, ssl.SSLError among them."""
        self._end = TlsEnd(self._context, self._host, _sessions.get(self._key))
        await self._end.handshake(sock)
        if not self._known and not self.wants_certificate:
            _remember(self._key, None)
        return self._end

    @property
    def wants_certificate(self) -> bool:
        """Whether the host asked the client for a certificate."""
        return self._end is not None and self._end.tls in _requesting

    def remember(self, end: TlsEnd) -> None:
        """Keep the session for the next connection, once the host has said something: at TLS 1.3 it comes with that."""
        if self._remembered or not self._known:
            return
        self._remembered = True
        session = end.tls.session
        if session is not None and session.has_ticket:
            _remember(self._key, session)

    def why_unread(self, error: Exception) -> str:
        """The reason for which the host is not read after this failure of its handshake."""
        if self.wants_certificate:
            return unread.CLIENT_CERTIFICATE
        if isinstance(error, ssl.SSLCertVerificationError):
            return unread.PRIVATE
        return unread.OTHER_TLS
