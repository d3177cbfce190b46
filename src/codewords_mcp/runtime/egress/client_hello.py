"""The first message of a TLS client (RFC 8446, 4.1.2): which host it names, and what it wants to speak."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HANDSHAKE: Final = 0x16
"""First byte of a TLS connection."""
MAX_BYTES: Final = 64 << 10
# TLS records of a ClientHello; one or two are usual.
_MAX_RECORDS: Final = 32
_CLIENT_HELLO: Final = 1
_SERVER_NAME, _ALPN = 0, 16


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The fields of the message that are used here."""

    server_name: str = ""
    """"" where it names no host."""
    protocols: tuple[str, ...] = ()
    """Offered by ALPN, the preferred one first."""
    greased: bool = False
    """It offers cipher suites that do not exist (RFC 8701), as browsers do, and clients that pass for one."""

    @property
    def may_speak_http(self) -> bool:
        """Whether it offers a version of HTTP that is read here."""
        return "h2" in self.protocols or "http/1.1" in self.protocols


def read_client_hello(data: bytes) -> ClientHello | None:
    """The message at the beginning of a connection; None if more data is needed.

    Raises ValueError or IndexError for other data.
    """
    hello, at, records = b"", 0, 0
    while at + 5 <= len(data):
        records += 1
        # A ClientHello split into very many records is no client's habit.
        if data[at] != HANDSHAKE or records > _MAX_RECORDS:
            raise ValueError

        size = int.from_bytes(data[at + 3 : at + 5])
        hello += data[at + 5 : at + 5 + size]
        at += 5 + size
        if len(hello) >= 4 and len(hello) >= 4 + int.from_bytes(hello[1:4]):
            break

    if len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4]):
        return None
    if hello[0] != _CLIENT_HELLO:
        raise ValueError

    return _read(hello[4 : 4 + int.from_bytes(hello[1:4])])


def _read(hello: bytes) -> ClientHello:
    # legacy_version and random
    at = 2 + 32
    at += 1 + hello[at]  # session id
    suites = hello[at + 2 : at + 2 + int.from_bytes(hello[at : at + 2])]
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at]  # compression methods
    at += 2  # length of all extensions

    named, protocols = "", tuple[str, ...]()
    while at + 4 <= len(hello):
        kind, size = int.from_bytes(hello[at : at + 2]), int.from_bytes(hello[at + 2 : at + 4])
        body = hello[at + 4 : at + 4 + size]
        at += 4 + size
        if kind == _SERVER_NAME and not named:
            # Its only type is host_name (0).
            if len(body) < 5 or body[2] != 0:
                raise ValueError
            named = body[5 : 5 + int.from_bytes(body[3:5])].decode("ascii")
        elif kind == _ALPN:
            protocols = tuple(_protocols(body[2:]))

    return ClientHello(
        named, protocols, any(_is_grease(suites[at : at + 2]) for at in range(0, len(suites), 2))
    )


def _protocols(data: bytes) -> list[str]:
    found: list[str] = []
    while data:
        found.append(data[1 : 1 + data[0]].decode("latin-1"))
        data = data[1 + data[0] :]
    return found


def _is_grease(suite: bytes) -> bool:
    """Whether it is one of 0x0A0A, 0x1A1A … 0xFAFA."""
    return len(suite) == 2 and suite[0] == suite[1] and suite[0] & 0x0F == 0x0A
