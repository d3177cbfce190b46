"""The way out: through the runtime's listeners or not at all."""

from __future__ import annotations

from typing import Any

from codewords_mcp.runtime.sandboxes.base import Capability
from codewords_mcp.testing.sandboxes import programs
from codewords_mcp.testing.sandboxes.expecting import expect, same, until
from codewords_mcp.testing.sandboxes.model import Need
from codewords_mcp.testing.sandboxes.network import ANSWERING, RESOLVED
from codewords_mcp.testing.sandboxes.registry import check
from codewords_mcp.testing.sandboxes.stage import Context

_TRY = """
import json, os, socket
def attempt(address, say=b"GET /try HTTP/1.1\\r\\nhost: there\\r\\n\\r\\n"):
    "What is heard from there; None where nothing is."
    try:
        with socket.create_connection(address, 5) as link:
            link.sendall(say)
            return link.recv(4096).decode().rpartition("\\r\\n")[2] or None
    except OSError:
        return None
"""


@check("network.runtime")
async def runtime(context: Context) -> None:
    """With a network, a program reaches the runtime's listener where CODEWORDS_RUNTIME_URI says, and each sandbox its own."""
    code = """
    from urllib.request import ProxyHandler, build_opener
    opener = build_opener(ProxyHandler({}))
    print(json.dumps(opener.open(os.environ["CODEWORDS_RUNTIME_URI"] + "/try").read().decode()))
    """
    # Twice: each sandbox must meet its own runtime.
    for _ in range(2):
        async with context.running(_TRY, code) as program:
            await program.ended()
        same(
            program.stdout,
            b'"runtime of %b"\n' % program.spec.id.encode(),
            f"The answer, with stderr {program.stderr!r}",
        )


@check("network.closed")
async def closed(context: Context) -> None:
    """A sandbox's network is closed when it has ended."""
    async with context.running(programs.WITNESS, "held = witness('main')") as program:
        await program.ended()
        side = program.side
        # After the exit: the driver closes the network then, not at the next start.
        await until(lambda: side.closed, "The closing of the ended sandbox's network")
        expect(
            side.sockets.runtime.fileno() < 0 or not side.servers[0].is_serving(),
            "The listener still serves.",
        )


@check("network.none", Need.ISOLATION)
async def none(context: Context) -> None:
    """Without a network there is no way out at all: no runtime, no names, no host, no internet."""
    code = """
    import struct
    heard = [attempt(address) for address in (("127.0.0.1", 8765), ("127.0.0.1", 3128), ("1.1.1.1", 80), ("169.254.169.254", 80),
             ("8.8.8.8", 53), ("198.18.0.1", 80))]
    try:
        heard.append(socket.getaddrinfo("example.com", 80)[0][4][0])
    except OSError:
        heard.append(None)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.settimeout(1)
            link.sendto(struct.pack("!6H", 1, 256, 1, 0, 0, 0) + b"\\7example\\3com\\0\\0\\1\\0\\1", ("8.8.8.8", 53))
            heard.append(len(link.recv(512)))
    except OSError:
        heard.append(None)
    print(json.dumps(heard))
    """
    seen: Any = await context.report(_TRY, code, network=False)
    # Every attempt has its own kind of way out: none may work.
    same(seen, [None] * 8, "What the program heard")


@check("network.no-other-way", Capability.EGRESS_RULES)
async def no_other_way(context: Context) -> None:
    """With a network, nothing leaves but by the runtime's listeners: no datagram, no IPv6, no other interface."""
    code = """
    import fcntl, struct
    heard = []

    def is_up(name):
        # Modules as sit and ip_gre give every network namespace an interface, which is down (SIOCGIFFLAGS, IFF_UP).
        try:
            with socket.socket() as link:
                answer = fcntl.ioctl(link, 0x8913, struct.pack("16sh22x", name.encode(), 0))
            return struct.unpack("16xh22x", answer)[0] & 1
        except OSError:
            return True

    question = struct.pack("!6H", 1, 256, 1, 0, 0, 0) + b"\\7example\\3com\\0\\0\\1\\0\\1"
    for family, address in ((socket.AF_INET, ("8.8.8.8", 53)), (socket.AF_INET6, ("2001:4860:4860::8888", 53))):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as link:
                link.settimeout(1)
                link.sendto(question, address)
                heard.append(len(link.recv(512)))
        except OSError:
            pass
    heard.append(attempt(("2606:4700:4700::1111", 80)))
    try:
        heard += [name for _, name in socket.if_nameindex() if name != "lo" and is_up(name)]
    except OSError:
        pass  # no interface can be listed
    print(json.dumps(heard))
    """
    # The runtime's listeners are no interface and no route.
    same(await context.report(_TRY, code), [None], "What the program heard, and interfaces beside loopback")


@check("network.transparent", Capability.TRANSPARENT_EGRESS)
async def transparent(context: Context) -> None:
    """Every TCP connection comes to the runtime with its original destination, names are asked of it."""
    code = """
    print(json.dumps([socket.gethostbyname("some.example"), attempt(("some.example", 4321)), attempt((ANSWERING, 25))]))
    """
    async with context.running(_TRY, f"ANSWERING = {ANSWERING!r}", code) as program:
        await program.ended()
        side = program.side

    same(program.stdout, b'["%b", "caught", "caught"]\n' % RESOLVED.encode(), "What the program heard")
    same(side.caught, [(RESOLVED, 4321), (ANSWERING, 25)], "The destinations that came to the runtime")
    # A resolver of the program's may ask in several ways.
    expect(
        any(b"\4some\7example" in query for query in side.looked_up), "The name was not asked of the runtime."
    )


@check("network.proxy", Capability.EGRESS_RULES)
async def proxy(context: Context) -> None:
    """A client that heeds proxy variables comes to the runtime: transparently, or by its proxy."""
    code = """
    from urllib.error import URLError
    from urllib.request import urlopen
    try:
        urlopen("http://some.example:4321/", timeout=10).read()
    except (OSError, ValueError):
        pass
    except Exception as error:  # what answers is no server
        pass
    """
    async with context.running(_TRY, code) as program:
        await program.ended()
        side = program.side

    expect(
        # Either will do: the kernel redirects, or the client heeds its variables.
        (RESOLVED, 4321) in side.caught or side.proxied,
        "The request came neither to the runtime's policy nor to its proxy.",
    )
