"""What counts as the public internet."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.model.addresses import not_public, parse_address
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.host_names import normal_host

pytestmark = pytest.mark.requirement("egress:private-refused")

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "4000::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "198.20.0.1",
    "223.255.255.254",
    "2606:4700::1111",
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_that_is_not_public_has_a_reason(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert not_public(address)
    assert EgressPolicy().refusal("some.name", 443, address)


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert EgressPolicy().refusal("some.name", 443, address) is None


@given(st.ip_addresses())
def test_nothing_that_python_calls_not_global_is_let_out(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if not address.is_global or address.is_multicast:
        assert not_public(address)


@pytest.mark.parametrize(
    ("pair", "host", "address", "port"),
    [
        ("127.0.0.1:5432", "anything", "127.0.0.1", 5432),
        ("[::1]:6379", "anything", "::1", 6379),
        ("[0:0::1]:6379", "anything", "::1", 6379),
        ("DB.lan.:5432", "db.lan", "10.0.0.7", 5432),
        (" 169.254.169.254:80 ", "169.254.169.254", "169.254.169.254", 80),
    ],
)
@pytest.mark.parametrize("mode", ["internet", "none"])
def test_an_allowed_pair_is_let_through_at_its_port_only(
    pair: str, host: str, address: str, port: int, mode: str
) -> None:
    policy = EgressPolicy("none" if mode == "none" else "internet", frozenset({pair}))
    parsed = ipaddress.ip_address(address)
    assert policy.refusal(host, port, parsed) is None
    assert policy.refusal(host, port + 1, parsed)


@pytest.mark.parametrize(
    "pair",
    ["", "5432", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "db.lan:70000", "a b:1", "::1", "db:\uff15"],
)
def test_a_pair_that_is_none_is_refused_with_examples(pair: str) -> None:
    with pytest.raises(InvalidInput, match="host:port"):
        EgressPolicy("internet", frozenset({pair}))


@given(st.text())
def test_a_normal_host_stays_itself(text: str) -> None:
    host = normal_host(text)
    if host is not None:
        assert host.isascii()
        assert normal_host(host) == host


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.1", "127.0.0.1"), ("2130706433", "127.0.0.1"), ("0177.0.0.1", "127.0.0.1"), ("0x7f.1", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"), ("0", "0.0.0.0"), ("0x", "0.0.0.0"), ("127.0.0.1.", "127.0.0.1"), ("1.2.3", "1.2.0.3"),
        ("0xa9.0xfe.0251.254", "169.254.169.254"), ("2852039166", "169.254.169.254"), ("4294967296", None), ("256.1.1.1", None),
        ("1.2.3.256", None), ("1.2.3.4.5", None), ("09", None), ("1..2", None), ("example.1", None), ("a.0x4", None),
        ("1.2.3.08", None), ("1" * 5000, None), ("0" * 60 + "1", "0.0.0.1"), ("example.1e3", "example.1e3"), ("1.example", "1.example"),
        ("0x7g", "0x7g"), ("127.0.0.1.example", "127.0.0.1.example"), ("-1", None), ("+1", None),
    ],
)  # fmt: skip
def test_a_host_that_ends_in_a_number_is_an_address_or_nothing(text: str, address: str | None) -> None:
    assert normal_host(text) == address
    assert normal_host(text.upper()) == address


@given(st.text("0123456789abcdefxX.", max_size=24))
def test_whatever_clients_take_for_an_address_is_no_name(text: str) -> None:
    try:
        meant = socket.inet_ntoa(socket.inet_aton(text))
    except OSError:
        return
    assert normal_host(text) in {meant, None}


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{}", "0x{:x}", "0{:o}"]))
def test_an_address_in_one_number_is_that_address(number: int, form: str) -> None:
    assert normal_host(form.format(number)) == str(ipaddress.IPv4Address(number))
