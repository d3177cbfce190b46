"""Name lookups of a sandbox."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.egress import Attach

from codewords_mcp.runtime.egress.addresses import FAKE_NETWORK
from codewords_mcp.runtime.egress.dns import respond
from codewords_mcp.runtime.egress.names import MAX_NAMES, FakeNames

A, AAAA, MX, PTR, HTTPS = 1, 28, 15, 12, 65


def query(name: str, kind: int = A, *, flags: int = 0x0100, number: int = 0xBEEF) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def answered(reply: bytes | None) -> tuple[int, list[str]]:
    """(code, addresses) of a reply."""
    assert reply is not None
    number, flags, questions, answers = struct.unpack_from("!HHHH", reply)
    assert number == 0xBEEF
    assert flags & 0x8180 == 0x8180
    assert questions == 1
    return flags & 0xF, [socket.inet_ntoa(reply[-4:])] if answers else []


@pytest.mark.requirement("egress:dns-fake")
def test_a_name_gets_an_address_that_stands_for_it_and_keeps_it() -> None:
    names = FakeNames()
    code, (address,) = answered(respond(query("Example.COM"), names))
    assert code == 0
    assert ipaddress.IPv4Address(address) in FAKE_NETWORK
    assert names.name_of(ipaddress.ip_address(address)) == "example.com"
    assert answered(respond(query("example.com"), names)) == (0, [address])
    assert answered(respond(query("other.com"), names)) != (0, [address])


@pytest.mark.requirement("egress:dns-fake")
@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "app.localhost"])
def test_localhost_is_the_sandbox_itself(name: str) -> None:
    assert answered(respond(query(name), FakeNames())) == (0, ["127.0.0.1"])


@pytest.mark.requirement("egress:dns-fake")
@pytest.mark.parametrize("kind", [AAAA, MX, PTR, HTTPS, 255])
def test_other_records_are_empty_so_that_programs_use_ipv4(kind: int) -> None:
    names = FakeNames()
    assert answered(respond(query("example.com", kind), names)) == (0, [])
    assert answered(respond(query("example.com"), names))[1] == ["198.18.0.1"]


@pytest.mark.requirement("egress:dns-fake")
@pytest.mark.parametrize("name", ["a.invalid", "x.onion", "sp ace.com", "127.0.0.1", "-a.com"])
def test_what_can_be_no_host_does_not_exist(name: str) -> None:
    assert answered(respond(query(name), FakeNames())) == (3, [])


@pytest.mark.requirement("egress:dns-malformed")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 11,
        query("a.com")[:-1],
        query("a.com", flags=0x8100),
        query("a.com").replace(b"\1a", b"\xc0a"),
        query("a.com").replace(b"\0\1\0\0\0\0\0\0", b"\0\2\0\0\0\0\0\0"),
        query("a.com")[:-2] + b"\0\3",
    ],
)
def test_what_is_no_query_gets_silence(data: bytes) -> None:
    assert respond(data, FakeNames()) is None


@pytest.mark.requirement("egress:dns-malformed")
@given(st.one_of(st.binary(max_size=600), st.binary(max_size=80).map(lambda tail: query("a.b")[:14] + tail)))
def test_no_datagram_breaks_the_responder(data: bytes) -> None:
    reply = respond(data, FakeNames())
    assert reply is None or reply[:2] == data[:2]


@pytest.mark.requirement("egress:bounded")
def test_a_sandbox_that_asks_for_names_without_end_gets_failures_and_no_address_twice() -> None:
    names = FakeNames()
    given_out = {answered(respond(query(f"n{i}.com"), names))[1][0] for i in range(MAX_NAMES)}
    assert len(given_out) == MAX_NAMES
    assert answered(respond(query("one-more.com"), names)) == (2, [])
    assert answered(respond(query("n7.com"), names))[0] == 0


@pytest.mark.requirement("egress:dns-fake")
@pytest.mark.anyio
async def test_an_address_handed_out_is_dialled_by_its_name(attach: Attach) -> None:
    def inner(_host: str, _port: int) -> list[str]:
        return ["10.0.0.9"]

    async with attach(resolve=inner) as stage:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.connect(("127.0.0.1", stage.dns))
            asker.send(b"junk")
            asker.send(query("inner.lan"))
            _, (address,) = answered(await receive(asker))
        reply = await stage.through_proxy(
            f"CONNECT {address}:80 HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()
        )
        assert b"inner.lan:80 may not be reached: 10.0.0.9 is a private address" in reply


async def receive(sock: socket.socket) -> bytes:
    import asyncio

    async with asyncio.timeout(10):
        return await asyncio.get_running_loop().sock_recv(sock, 512)
