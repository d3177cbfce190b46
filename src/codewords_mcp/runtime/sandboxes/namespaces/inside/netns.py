"""A sandbox's own network: loopback only, and listeners that are handed out to the runtime.

Whatever leaves does so through a socket that the runtime accepts: `runtime` (its gateway), `connect` (HTTP CONNECT),
`transparent` (TCP that the kernel redirects there) and `dns`. No helper program, no bridge, no address of the host.
There is no IPv6 route.
"""

from __future__ import annotations

import fcntl
import functools
import socket
import struct
from typing import Final

RUNTIME_PORT: Final = 8765
CONNECT_PORT: Final = 3128
TRANSPARENT_PORT: Final = 3129
DNS_PORT: Final = 53
OWN_PORTS: Final = frozenset({RUNTIME_PORT, CONNECT_PORT, TRANSPARENT_PORT, DNS_PORT})

_LOOPBACK: Final = "127.0.0.1"
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP_RUNNING: Final = 0x41

# linux/netlink.h, linux/rtnetlink.h, linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _APPEND = 0x1, 0x4, 0x200, 0x400, 0x800
_NLMSG_ERROR: Final = 2
_RTM_NEWROUTE: Final = 24
_NETLINK_ROUTE: Final = 0
_NETLINK_NETFILTER: Final = 12
_NFNL_SUBSYS_NFTABLES: Final = 10 << 8
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 3, 6
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NESTED: Final = 0x8000
_IFINDEX_LO: Final = 1


def loopback_up() -> None:
    """Bring `lo` up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP_RUNNING))


def open_listeners() -> dict[str, socket.socket]:
    """The listeners by the names of `SandboxSockets`; without `transparent` and `dns` where the kernel cannot redirect."""
    # The two that need no support by the kernel; the others come only where it can redirect.
    listeners = {"runtime": _listen(RUNTIME_PORT), "connect": _listen(CONNECT_PORT)}
    try:
        redirect_tcp(TRANSPARENT_PORT)
        route_everything_to_loopback()
    except OSError:
        # No nftables in this kernel or user namespace: clients then need the proxy variables.
        return listeners

    listeners["transparent"] = _listen(TRANSPARENT_PORT)
    dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    dns.bind((_LOOPBACK, DNS_PORT))
    listeners["dns"] = dns

    return listeners


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((_LOOPBACK, port))
    listener.listen(512)
    return listener


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + bytes(-length % 4)


def _nest(kind: int, *parts: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(parts))


def _u32(value: int) -> bytes:
    return struct.pack(">I", value)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"


def _message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def _ask_kernel(protocol: int, request: bytes, acks: int, step: str) -> None:
    """Send a netlink request, and read so many acknowledgements.

    Raises OSError at the first refusal, or when the kernel says nothing for 1 s.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as channel:
        channel.send(request)
        # The kernel answers in microseconds. A limit, since a lost answer would hang every start.
        channel.settimeout(1)
        while acks > 0:
            data = channel.recv(65536)
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", data, 16)[0]
                    if number:
                        raise OSError(number, step)
                    acks -= 1

                data = data[(length + 3) & ~3 :]


def assemble() -> None:
    """Assemble the requests of `open_listeners`, once for all forks of this process."""
    _redirection(TRANSPARENT_PORT)
    _route(local=True)


def route_everything_to_loopback(*, local: bool = True) -> None:
    """Make a connection to any IPv4 address get as far as the redirection.

    `local`: every address is one of this network's own, so that also nothing else is sent out for it.
    """
    _ask_kernel(_NETLINK_ROUTE, _route(local=local), 1, "local route")


@functools.cache
def _route(*, local: bool) -> bytes:
    # struct rtmsg: family, lengths, tos, table (local or main), protocol boot, scope (host or link), type (local or unicast)
    table, scope, kind = (255, 254, 2) if local else (254, 253, 1)
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 3, scope, kind, 0)
    body += _attribute(4, struct.pack("=I", _IFINDEX_LO))
    if not local:
        body += _attribute(7, socket.inet_aton(_LOOPBACK))  # the source that connections have
    return _message(_RTM_NEWROUTE, _REQUEST | _ACK | _CREATE | _EXCLUSIVE, 1, body)


def _expression(name: str, *attributes: bytes) -> bytes:
    return _nest(1, _attribute(1, _text(name)), _nest(2, *attributes))


def _redirect_rule(port: int) -> bytes:
    """Ip daddr & 255.0.0.0 != 127.0.0.0, meta l4proto tcp, redirect to :port."""
    register = _attribute(1, _u32(1))
    return b"".join(
        (
            # payload load 4 bytes at network header + 16 → register 1
            _expression(
                "payload", register, _attribute(2, _u32(1)), _attribute(3, _u32(16)), _attribute(4, _u32(4))
            ),
            _expression(
                "bitwise",
                register,
                _attribute(2, _u32(1)),
                _attribute(3, _u32(4)),
                _nest(4, _attribute(1, b"\xff\0\0\0")),
                _nest(5, _attribute(1, b"\0\0\0\0")),
            ),
            _expression("cmp", register, _attribute(2, _u32(1)), _nest(3, _attribute(1, b"\x7f\0\0\0"))),
            _expression("meta", register, _attribute(2, _u32(16))),
            _expression("cmp", register, _attribute(2, _u32(0)), _nest(3, _attribute(1, b"\x06"))),
            _expression("immediate", register, _nest(2, _attribute(1, struct.pack(">H", port)))),
            _expression("redir", register),
        )
    )


def redirect_tcp(port: int) -> None:
    """Redirect every IPv4 TCP connection that does not go to 127/8 to 127.0.0.1:`port`, by nftables' nat output hook."""
    _ask_kernel(_NETLINK_NETFILTER, _redirection(port), 3, "nftables redirection")


@functools.cache
def _redirection(port: int) -> bytes:

    def header(family: int, resource: int) -> bytes:
        return struct.pack(">BBH", family, 0, resource)

    table, chain = _text("sandbox"), _text("output")
    create = _REQUEST | _ACK | _CREATE
    hook = _nest(
        4, _attribute(1, _u32(3)), _attribute(2, struct.pack(">i", -100))
    )  # output, dstnat's priority
    inet = header(socket.AF_INET, 0)
    # Requests of nftables take effect only as one batch between its begin and end messages.
    batch = _message(_BATCH_BEGIN, _REQUEST, 1, header(0, 10))
    batch += _message(_NFNL_SUBSYS_NFTABLES | _NEW_TABLE, create, 2, inet + _attribute(1, table))
    batch += _message(
        _NFNL_SUBSYS_NFTABLES | _NEW_CHAIN,
        create,
        3,
        inet + _attribute(1, table) + _attribute(3, chain) + hook + _attribute(7, _text("nat")),
    )
    batch += _message(
        _NFNL_SUBSYS_NFTABLES | _NEW_RULE,
        create | _APPEND,
        4,
        inet + _attribute(1, table) + _attribute(2, chain) + _nest(4, _redirect_rule(port)),
    )
    return batch + _message(_BATCH_END, _REQUEST, 5, header(0, 10))
