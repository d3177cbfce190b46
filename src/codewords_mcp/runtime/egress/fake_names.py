"""Addresses that a sandbox sees for host names."""

from __future__ import annotations

from typing import Final

from codewords_mcp.runtime.model.addresses import FAKE_NETWORK, Address

MAX_NAMES: Final = 8192
"""Names that one sandbox may look up."""


class FakeNames:
    """Assigns each name of one sandbox an address of 198.18.0.0/15, for the sandbox's lifetime.

    An address is never assigned to a second name, since a program may still use it.
    """

    def __init__(self) -> None:
        self._addresses: dict[str, Address] = {}
        self._names: dict[Address, str] = {}

    def address_of(self, name: str) -> Address | None:
        """The name's address; None after more than 8192 names."""
        known = self._addresses.get(name)
        if known is not None:
            return known
        if len(self._addresses) >= MAX_NAMES:
            return None
        # The first address is the network's own.
        address = FAKE_NETWORK[len(self._addresses) + 1]
        self._addresses[name] = address
        self._names[address] = name
        return address

    def name_of(self, address: Address) -> str | None:
        """The name of an address from `address_of`; None for any other."""
        return self._names.get(address)
