"""Addresses that are not on the public internet."""

from __future__ import annotations

import errno
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

FAKE_NETWORK = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for benchmarks (RFC 2544), so never a real destination.

Sandboxes see its addresses for names.
"""

# The IANA special-purpose registries (RFC 6890 and its successors), and what clouds add to them.
_IPV4 = {
    "0.0.0.0/8": "an unspecified address",
    "10.0.0.0/8": "a private address",
    "100.64.0.0/10": "a carrier-grade NAT address",
    "127.0.0.0/8": "a loopback address",
    "168.63.129.16/32": "a cloud metadata address",
    "169.254.169.254/32": "a cloud metadata address",
    "169.254.0.0/16": "a link-local address",
    "172.16.0.0/12": "a private address",
    "192.0.0.0/24": "a reserved address",
    "192.0.2.0/24": "a documentation address",
    "192.88.99.0/24": "a 6to4 relay address",
    "192.168.0.0/16": "a private address",
    "198.18.0.0/15": "a benchmarking address",
    "198.51.100.0/24": "a documentation address",
    "203.0.113.0/24": "a documentation address",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address",
}
# Global unicast is 2000::/3; all else is refused. Listed are the networks that hide another
# address, and the common ones, so that the refusal can name them.
_IPV6 = {
    "::/128": "an unspecified address",
    "::1/128": "a loopback address",
    "::ffff:0:0/96": "an IPv4-mapped address",
    "64:ff9b::/96": "a NAT64 address",
    "64:ff9b:1::/48": "a NAT64 address",
    "2001::/32": "a Teredo address",
    "2001::/23": "a reserved address",
    "2001:db8::/32": "a documentation address",
    "2002::/16": "a 6to4 address",
    "3fff::/20": "a documentation address",
    "fc00::/7": "a private address",
    "fe80::/10": "a link-local address",
    "fec0::/10": "a site-local address",
    "ff00::/8": "a multicast address",
}
_NETWORKS4 = [(ipaddress.IPv4Network(network), reason) for network, reason in _IPV4.items()]
_NETWORKS6 = [(ipaddress.IPv6Network(network), reason) for network, reason in _IPV6.items()]
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}
_GLOBAL6 = ipaddress.IPv6Network("2000::/3")


def parse_address(text: str) -> Address | None:
    """Parse an address, without an IPv6 zone. Returns None for any other text."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def not_public(address: Address) -> str | None:
    """Reason why an address is not on the public internet ("a private address"); None if it is."""
    if isinstance(address, ipaddress.IPv4Address):
        reason = next((why for network, why in _NETWORKS4 if address in network), None)
    else:
        # IPv6 has far more special networks than are listed; global unicast is the one that counts.
        reason = next((why for network, why in _NETWORKS6 if address in network), None)
        if reason is None and address not in _GLOBAL6:
            reason = "a reserved address"
    # Last: it asks the kernel.
    if reason is None and _is_own(address):
        reason = "an address of this machine"
    return reason


def _is_own(address: Address) -> bool:
    """Whether this machine has the address."""
    # A kernel connects to its own address from that address. Connecting a UDP socket sends nothing,
    # and consults the current routes.
    if address.version == 4:
        family = socket.AF_INET
    else:
        family = socket.AF_INET6

    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return parse_address(str(probe.getsockname()[0])) == address
    except OSError as error:
        # In doubt, as without file descriptors, it counts as own.
        return error.errno not in _NO_ROUTE
