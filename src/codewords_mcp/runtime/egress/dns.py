"""Answers a sandbox's DNS queries (RFC 1035) with addresses that stand for names.

No query leaves the host. A name is resolved only when a connection to it is made and allowed. So
lookups carry no data out, and the resolved address is checked at the moment it is dialled.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.rdtypes.IN.A import A

from codewords_mcp.runtime.egress.fake_names import FakeNames
from codewords_mcp.runtime.model.addresses import parse_address
from codewords_mcp.runtime.model.host_names import normal_host

TTL: Final = 60
"""Seconds. The address is valid as long as the sandbox."""

_BURST: Final = 32
_HEADER_BYTES: Final = 12
_ONE_QUESTION_WITH_EDNS: Final = b"\0\1\0\0\0\0\0\1"
_MAX_UDP_PAYLOAD: Final = 4096


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
                query, sender = self._sock.recvfrom(_MAX_UDP_PAYLOAD)
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
    message = _parse(query)
    if message is None or message.flags & dns.flags.QR:
        return None

    response = dns.message.make_response(
        message, recursion_available=True, our_payload=_MAX_UDP_PAYLOAD, pad=0
    )
    if message.opcode() != dns.opcode.QUERY:
        response.set_rcode(dns.rcode.NOTIMP)
    elif message.edns > 0:
        # RFC 6891, 6.1.3: only version 0 exists, and a newer one is answered so.
        response.set_rcode(dns.rcode.BADVERS)
    elif message.question[0].rdclass != dns.rdataclass.IN:
        return None
    else:
        _answer(response, names)

    return response.to_wire()


def _parse(query: bytes) -> Message | None:
    """A packet of one question.

    Records beside the question mean nothing in a query, and a program chooses how many come: only a
    single one, which is how EDNS comes, is read.
    """
    counts = query[4:_HEADER_BYTES]
    if counts[:2] != _ONE_QUESTION_WITH_EDNS[:2]:
        return None

    try:
        return dns.message.from_wire(
            query, question_only=counts != _ONE_QUESTION_WITH_EDNS, ignore_trailing=True, keyring=False
        )
    except dns.exception.DNSException:
        return None


def _answer(response: Message, names: FakeNames) -> None:
    question = response.question[0]
    host = normal_host(question.name.to_text(omit_final_dot=True))
    # Names that have no address on the internet (RFC 6761, RFC 7686), and addresses as names.
    if host is None or parse_address(host) is not None or host.endswith((".invalid", ".onion")):
        response.set_rcode(dns.rcode.NXDOMAIN)
        return
    if question.rdtype != dns.rdatatype.A:
        return

    address = _address(host, names)
    if address is None:
        # The table of names is full: a failure, since the name may well exist.
        response.set_rcode(dns.rcode.SERVFAIL)
    else:
        record = A(dns.rdataclass.IN, dns.rdatatype.A, address)
        response.answer.append(dns.rrset.from_rdata(question.name, TTL, record))


def _address(host: str, names: FakeNames) -> str | None:
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    address = names.address_of(host)
    return None if address is None else str(address)
