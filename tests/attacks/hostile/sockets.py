"""Sockets that pass the network namespace by, and changes to the network itself."""

from __future__ import annotations

import errno
import socket
import struct

from tests.attacks.hostile.attempts import Group, fact, gives, refused

group = Group("sockets", "Sockets and the network namespace")
_NO_FAMILY = refused("EAFNOSUPPORT", "EPERM", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT")
_PAST = "This family does not know network namespaces, or knows them badly."
_LOOPBACK = "Databases and admin pages of the machine listen there, and trust whoever comes."
_UNREACHED = refused(
    "ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "ECONNRESET", "TimeoutError"
)
_EPERM = refused("EPERM")
_MSG_FASTOPEN = 0x20000000

for _name, _family, _kind, _protocol, _matters in (
    ("vsock", 40, socket.SOCK_STREAM, 0, "It leads to the hypervisor and to other machines on it."),
    ("alg", 38, socket.SOCK_SEQPACKET, 0, "The kernel's cryptography, and its bugs."),
    ("packet", 17, socket.SOCK_RAW, 0x0300, "It hears and forges everything on the wire."),
    ("raw", 2, socket.SOCK_RAW, 1, "It forges packets."),
    ("raw6", 10, socket.SOCK_RAW, 58, "It forges packets."),
    ("bluetooth", 31, socket.SOCK_RAW, 1, _PAST),
    ("can", 29, socket.SOCK_RAW, 1, "The bus of cars and machines."),
    ("tipc", 30, socket.SOCK_STREAM, 0, "Its bugs were remote root."),
    ("rds", 21, socket.SOCK_SEQPACKET, 0, "Its bugs were root more than once."),
    ("xdp", 44, socket.SOCK_RAW, 0, "It takes packets past everything."),
    ("pfkey", 15, socket.SOCK_RAW, 2, "It changes the host's IPsec."),
    ("kcm", 41, socket.SOCK_DGRAM, 0, "A rare family: more bugs than users."),
    ("nfc", 39, socket.SOCK_RAW, 0, "A rare family: more bugs than users."),
    ("ax25", 3, socket.SOCK_DGRAM, 0, "A rare family: more bugs than users."),
):
    group.add(
        _name, f"Open a socket of family {_family} ({_name})", _matters, _NO_FAMILY,
        lambda family=_family, kind=_kind, protocol=_protocol: _open(family, kind, protocol),
    )  # fmt: skip

for _name, _protocol, _matters in (
    ("netlink-netfilter", 12, "The redirection to the runtime is a rule of nftables."),
    ("netlink-uevent", 15, "Events of the host's devices."),
    ("netlink-audit", 9, "The host's audit log."),
    ("netlink-generic", 16, "Every driver listens there."),
    ("netlink-xfrm", 6, "IPsec: its bugs were root."),
    ("netlink-connector", 11, "Every process that starts on the host."),
):
    group.add(
        _name, f"Open a netlink socket of protocol {_protocol}", _matters, _NO_FAMILY,
        lambda protocol=_protocol: _open(16, socket.SOCK_RAW, protocol),
    )  # fmt: skip


def _open(family: int, kind: int, protocol: int) -> object:
    with socket.socket(family, kind, protocol):
        return "opened"


def _netlink(kind: int, flags: int, body: bytes) -> object:
    """Send a request of route netlink; raises what the kernel answers."""
    with socket.socket(16, socket.SOCK_RAW, 0) as channel:
        channel.settimeout(3)
        message = struct.pack("=IHHII", 16 + len(body), kind, 5 | flags, 1, 0) + body
        channel.send(message)
        code = struct.unpack_from("=i", channel.recv(4096), 16)[0]
    if code:
        raise OSError(-code, errno.errorcode.get(-code, ""))
    return "done"


@group.attempt("route", "Add a route", "Traffic could go past the runtime.", _EPERM)
def _() -> object:
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 254, 4, 0, 1, 0) + struct.pack("=HHI", 8, 4, 1)
    return _netlink(24, 0x400, body)


@group.attempt("delete-route", "Delete the route to the runtime's listeners", "The same.", _EPERM)
def _() -> object:
    return _netlink(25, 0, struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, 255, 3, 254, 2, 0))


@group.attempt("interface", "Make a veth pair", "One end in another namespace is a wire to it.", _EPERM)
def _() -> object:
    kind = struct.pack("=HH5sxxx", 9, 1, b"veth\0")
    body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH", 4 + len(kind), 18 | 0x8000) + kind
    return _netlink(16, 0x600, body)


@group.attempt(
    "interfaces", "List the interfaces", "A second one is a way out.", gives(["lo"], "loopback alone")
)
def _() -> object:
    return [name for _, name in socket.if_nameindex()]


@group.attempt(
    "transparent",
    "Bind to somebody else's address (IP_TRANSPARENT)",
    "Replies to others could be had.",
    _EPERM,
)
def _() -> object:
    with socket.socket() as one:
        return one.setsockopt(socket.SOL_IP, 19, 1)


@group.attempt("mark", "Mark its packets (SO_MARK)", "Marks choose routes and pass firewalls.", _EPERM)
def _() -> object:
    with socket.socket() as one:
        return one.setsockopt(socket.SOL_SOCKET, 36, 1)


def _reach(family: int, address: tuple[str, int] | str | bytes, kind: int = socket.SOCK_STREAM) -> object:
    """Connect and get one byte; what listens on the host sends one."""
    with socket.socket(family, kind) as client:
        client.settimeout(2)
        client.connect(address)
        if kind == socket.SOCK_DGRAM:
            client.send(b"x")
        if not client.recv(1):
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        return "answered"


for _name, _family, _host in (
    ("loopback", 2, "127.0.0.1"),
    ("loopback-2", 2, "127.0.0.2"),
    ("unspecified", 2, "0.0.0.0"),
    ("loopback6", 10, "::1"),
    ("mapped-loopback", 10, "::ffff:127.0.0.1"),
    ("unspecified6", 10, "::"),
):
    group.add(
        _name, f"Connect to a server of the host at {_host}", _LOOPBACK, _UNREACHED,
        lambda family=_family, host=_host: _reach(family, (host, fact("port"))),
    )  # fmt: skip


@group.attempt("udp", "Ask a UDP server of the host at 127.0.0.1", _LOOPBACK, _UNREACHED)
def _() -> object:
    return _reach(socket.AF_INET, ("127.0.0.1", fact("udp_port")), socket.SOCK_DGRAM)


@group.attempt("udp-out", "Send UDP to 8.8.8.8, port 53", "DNS carries data out.", _UNREACHED)
def _() -> object:
    return _reach(socket.AF_INET, ("8.8.8.8", 53), socket.SOCK_DGRAM)


@group.attempt(
    "ipv6-out", "Connect to 2606:4700:4700::1111", "A second protocol is a second way out.", _UNREACHED
)
def _() -> object:
    return _reach(socket.AF_INET6, ("2606:4700:4700::1111", 443))


@group.attempt(
    "abstract",
    "Connect to an abstract Unix socket of the host",
    "They have no file, so no root hides them: X11, D-Bus, containerd-shim (CVE-2020-15257).",
    refused("ECONNREFUSED"),
)
def _() -> object:
    return _reach(socket.AF_UNIX, "\0" + fact("abstract"))


@group.attempt(
    "unix-path",
    "Connect to a Unix socket of the host by its path",
    "The same, by name.",
    refused("ENOENT", "ECONNREFUSED", "EACCES"),
)
def _() -> object:
    return _reach(socket.AF_UNIX, fact("unix"))


@group.attempt(
    "fast-open",
    "Send with TCP fast open to the host's server",
    "A first packet with data is not a connect().",
    refused(),
)
def _() -> object:
    with socket.socket() as client:
        client.settimeout(2)
        client.sendto(b"x", _MSG_FASTOPEN, ("127.0.0.1", fact("port")))
        if not client.recv(1):
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        return "answered"


@group.attempt("multipath", "Connect by MPTCP to the host's server", "Rules for TCP may miss it.", refused())
def _() -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as client:
        client.settimeout(2)
        client.connect(("127.0.0.1", fact("port")))
        return "answered" if client.recv(1) else "connected"


if __name__ == "__main__":
    group.run()
