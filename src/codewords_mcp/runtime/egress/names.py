"""Host names: their form, and the addresses that a sandbox sees for them."""

from __future__ import annotations

import re

from codewords_mcp.runtime.egress.addresses import FAKE_NETWORK, Address, parse_address

MAX_NAMES = 8192
"""Names that one sandbox may look up."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)


def normal_host(text: str) -> str | None:
    """A host in its one spelling, or None if it is neither a name nor an address.

    Names in lower case without the final dot (international ones in their ASCII form), addresses as `ipaddress`
    writes them, IPv6 with or without brackets.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    address = parse_address(bare)
    if address is not None:
        return str(address)
    name = bare.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


class FakeNames:
    """Gives each name of one sandbox an address of 198.18.0.0/15, for as long as the sandbox lives.

    An address is never given to a second name, since a program may connect to one it kept.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, Address] = {}
        self._names: dict[Address, str] = {}

    def address_of(self, name: str) -> Address | None:
        """The name's address; None when the sandbox has asked for more than 8192 names."""
        known = self._addresses.get(name)
        if known is not None:
            return known
        if len(self._addresses) >= MAX_NAMES:
            return None
        address = FAKE_NETWORK[len(self._addresses) + 1]
        self._addresses[name] = address
        self._names[address] = name
        return address

    def name_of(self, address: Address) -> str | None:
        """The name behind an address that `address_of` gave; None for any other."""
        return self._names.get(address)
