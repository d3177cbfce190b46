"""Name lookups of a sandbox."""

from __future__ import annotations

import ipaddress
import socket
import struct

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.egress import Attach

from codewords_mcp.runtime.egress.dns import respond
from codewords_mcp.runtime.egress.fake_names import MAX_NAMES, FakeNames
from codewords_mcp.runtime.model.addresses import FAKE_NETWORK

A, SOA, AAAA, MX, PTR, HTTPS = 1, 6, 28, 15, 12, 65


def query(name: str, kind: int = A, *, flags: int = 0x0100, number: int = 0xBEEF) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def with_records(*records: bytes, name: str = "example.com", sections: tuple[int, int, int]) -> bytes:
    """A query for a name with more records, and what its header says of their sections."""
    return query(name).replace(b"\0\0\0\0\0\0", struct.pack("!HHH", *sections), 1) + b"".join(records)


def record(kind: int, data: bytes = b"", *, name: bytes = b"\0", class_: int = 1, ttl: int = 0) -> bytes:
    return name + struct.pack("!HHIH", kind, class_, ttl, len(data)) + data


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


@pytest.mark.requirement("egress:dns-malformed")
@pytest.mark.parametrize(
    "question",
    [
        b"\xc0\x0c",
        b"\1a\xc0\x0c",
        b"\xc0\x0e\xc0\x0c",
        b"\1a\xc0\x20",
        b"\xff\xff",
        b"\x40a\0",
        b"\x80a\0",
        b"\x3fa",
        b"\1a" * 128 + b"\0",
    ],
    ids=[
        "itself", "its own label", "each other", "beyond the end", "far beyond", "extended label", "reserved label",
        "cut label", "over 255 bytes",
    ],
)  # fmt: skip
def test_a_name_that_goes_in_circles_or_too_far_gets_silence(question: bytes) -> None:
    data = struct.pack("!HHHHHH", 0xBEEF, 0x0100, 1, 0, 0, 0) + question + struct.pack("!HH", A, 1)
    assert respond(data, FakeNames()) is None


@pytest.mark.requirement("egress:dns-fake")
def test_a_name_of_many_labels_is_answered_up_to_the_limit_of_names() -> None:
    assert answered(respond(query(".".join("a" * 127)), FakeNames())) == (0, ["198.18.0.1"])
    assert answered(respond(query("a" * 63 + ".com"), FakeNames())) == (0, ["198.18.0.1"])


@pytest.mark.requirement("egress:dns-fake")
def test_a_label_with_a_dot_inside_is_no_name_of_two_labels() -> None:
    data = query("a.b.com").replace(b"\1a\1b", b"\3a.b")
    assert answered(respond(data, FakeNames())) == (3, [])


@pytest.mark.requirement("egress:dns-fake")
def test_a_query_with_edns_is_answered_with_edns() -> None:
    names = FakeNames()
    option = dns.edns.ECSOption("192.0.2.0", 24)
    asked = dns.message.make_query("example.com", "A", use_edns=0, options=[option], payload=1232)
    answer = dns.message.from_wire(respond(asked.to_wire(), names) or b"")
    assert answer.edns == 0
    assert len(answer.options) == 0  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.answer[0].to_text() == "example.com. 60 IN A 198.18.0.1"

    plain = dns.message.from_wire(respond(query("example.com"), names) or b"")
    assert plain.edns == -1
    assert plain.answer == answer.answer


@pytest.mark.requirement("egress:dns-fake")
def test_a_newer_edns_is_told_which_one_is_spoken_here() -> None:
    asked = dns.message.make_query("example.com", "A", use_edns=1)
    answer = dns.message.from_wire(respond(asked.to_wire(), FakeNames()) or b"")
    assert (answer.rcode(), answer.edns, answer.answer) == (dns.rcode.BADVERS, 0, [])


@pytest.mark.requirement("egress:dns-malformed")
@pytest.mark.parametrize(
    "record",
    [
        record(41, b"\0\x08\0\x04\0", class_=1232),
        record(41, b"\0\x08\xff\xff", class_=1232),
        record(41, name=b"\1a\0", class_=1232),
        record(41)[:-1],
        b"",
        record(A, b"\1\2\3"),
        record(A, b"\1\2\3\4", name=b"\xc0\x1d"),
    ],
    ids=[
        "cut option", "option beyond the end", "a name of its own", "cut", "missing", "short address", "circle",
    ],
)  # fmt: skip
def test_a_malformed_record_beside_the_question_gets_silence(record: bytes) -> None:
    assert respond(with_records(record, sections=(0, 0, 1)), FakeNames()) is None


@pytest.mark.requirement("egress:dns-fake")
@pytest.mark.parametrize("sections", [(1, 0, 0), (0, 1, 0), (0, 0, 2), (0, 0, 65535), (65535, 65535, 65535)])
def test_records_that_no_query_has_are_not_read(sections: tuple[int, int, int]) -> None:
    assert answered(respond(with_records(b"\xff" * 400, sections=sections), FakeNames())) == (
        0,
        ["198.18.0.1"],
    )


@pytest.mark.requirement("egress:dns-malformed")
@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 5, 6, 15])
def test_an_operation_other_than_a_query_is_not_implemented(opcode: int) -> None:
    answer = respond(query("example.com", SOA, flags=0x0100 | opcode << 11), FakeNames())
    assert answer is not None
    assert dns.message.from_wire(answer).rcode() == dns.rcode.NOTIMP


@pytest.mark.requirement("egress:dns-malformed")
@given(
    kind=st.integers(0, 65535),
    class_=st.sampled_from([1, 3, 4, 254, 255, 1232]),
    data=st.binary(max_size=60),
    flags=st.integers(0, 65535),
)
def test_no_record_or_flag_breaks_the_responder(kind: int, class_: int, data: bytes, flags: int) -> None:
    extra = with_records(record(kind, data, class_=class_), sections=(0, 0, 1))
    reply = respond(extra[:2] + struct.pack("!H", flags) + extra[4:], FakeNames())
    if reply is not None:
        answer = dns.message.from_wire(reply)
        assert answer.id == 0xBEEF
        assert answer.flags & dns.flags.QR


@pytest.mark.requirement("egress:dns-malformed")
@given(st.lists(st.binary(min_size=1, max_size=63), max_size=140), st.binary(max_size=3))
def test_no_name_breaks_the_responder(labels: list[bytes], tail: bytes) -> None:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + tail
    data = struct.pack("!HHHHHH", 0xBEEF, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", A, 1)
    reply = respond(data, FakeNames())
    assert reply is None or dns.message.from_wire(reply).id == 0xBEEF


@pytest.mark.requirement("egress:bounded")
@pytest.mark.slow
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

    async with asyncio.timeout(120):
        return await asyncio.get_running_loop().sock_recv(sock, 512)
