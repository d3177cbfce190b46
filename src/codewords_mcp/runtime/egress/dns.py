"""Answers a sandbox's DNS queries (RFC 1035) with addresses that stand for names.

No query leaves the host. A name is resolved only when a connection to it is made and allowed. So
lookups carry no data out, and the resolved address is checked at the moment it is dialled.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import NamedTuple

from codewords_mcp.runtime.egress.addresses import parse_address
from codewords_mcp.runtime.egress.names import FakeNames, normal_host

TTL = 60
"""Seconds. The address is valid as long as the sandbox."""

_A, _IN = 1, 1
_NO_ERROR, _SERVER_FAILURE, _NO_NAME, _NOT_IMPLEMENTED = 0, 2, 3, 4
_BURST = 32
_LOOPBACK = socket.inet_aton("127.0.0.1")


class _Question(NamedTuple):
    name: str
    type: int
    raw: bytes


class DnsResponder:
    """Serves one UDP socket until `close`; owns it."""

    def __init__(self, sock: socket.socket, names: FakeNames) -> None:
        self._sock = sock
        self._names = names
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._readable)

    def close(self) -> None:
        """Stop serving. Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _readable(self) -> None:
        # Bounded: a program that asks without end must not hold the event loop.
        for _ in range(_BURST):
            try:
                query, sender = self._sock.recvfrom(4096)
                response = respond(query, self._names)
                if response is not None:
                    self._sock.sendto(response, sender)
            except OSError:
                # Nothing more to read, or the asker is gone.
                return


def respond(query: bytes, names: FakeNames) -> bytes | None:
    """The response to a query; None for a packet that is no query, which gets no response.

    A queries get an address. AAAA and all others get an empty response, so that programs use IPv4.
    """
    if len(query) < 12:
        return None

    flags, questions = struct.unpack_from("!HH", query, 2)
    # A response, or more than one question, which no resolver sends.
    if flags & 0x8000 or questions != 1:
        return None
    if flags & 0x7800:
        return _response(query, b"", _NOT_IMPLEMENTED)

    question = _question(query)
    if question is None:
        return None

    host = normal_host(question.name)
    # Names that have no address on the internet (RFC 6761, RFC 7686), and addresses as names.
    if host is None or parse_address(host) is not None or host.endswith((".invalid", ".onion")):
        return _response(query, question.raw, _NO_NAME)
    if question.type != _A:
        return _response(query, question.raw, _NO_ERROR)

    return _address_response(query, question, host, names)


def _address_response(query: bytes, question: _Question, host: str, names: FakeNames) -> bytes:
    if host == "localhost" or host.endswith(".localhost"):
        return _response(query, question.raw, _NO_ERROR, _LOOPBACK)
    address = names.address_of(host)
    # The table of names is full: a failure, since the name may well exist.
    if address is None:
        return _response(query, question.raw, _SERVER_FAILURE)
    return _response(query, question.raw, _NO_ERROR, address.packed)


def _response(query: bytes, question: bytes, code: int, address: bytes | None = None) -> bytes:
    # A response, recursion available; opcode and RD as asked.
    flags = 0x8080 | (query[2] & 0x79) << 8 | code
    counts = (1 if question else 0, 0 if address is None else 1, 0, 0)
    if address is None:
        record = b""
    else:
        # 0xC00C points to the question's name, at offset 12.
        record = struct.pack("!HHHIH", 0xC00C, _A, _IN, TTL, 4) + address
    return query[:2] + struct.pack("!HHHHH", flags, *counts) + question + record


def _question(query: bytes) -> _Question | None:
    labels: list[str] = []
    at = 12
    while at < len(query):
        size = query[at]
        at += 1
        if size == 0:
            break
        # Compression has no place in a question.
        if size > 63 or at + size > len(query):
            return None

        labels.append(query[at : at + size].decode("ascii", "replace"))
        at += size
    else:
        return None

    if at + 4 > len(query):
        return None

    kind, class_ = struct.unpack_from("!HH", query, at)
    if class_ == _IN:
        return _Question(".".join(labels), kind, query[12 : at + 4])

    return None
