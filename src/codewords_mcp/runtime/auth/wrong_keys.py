"""Limits on wrong keys typed at the sign-in page: for each client address, and a wide one for all."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from codewords_mcp.errors import TooBusy, Unauthenticated
from codewords_mcp.errors.remedies import SIGN_IN

MAX_PER_ADDRESS: Final = 10
MAX_TOTAL: Final = 300
"""Wrong keys within `WINDOW_S`, from one address and from all. Only many addresses reach the total.
"""
WINDOW_S: Final = 60.0
_IPV6_PREFIX = 64
"""Bits of an IPv6 address that a provider gives to one customer, who picks the others."""


class WrongKeys:
    """Counts the wrong keys of this process, from the start of an attempt: concurrent ones all
    count.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: deque[tuple[float, str]] = deque()

    @contextmanager
    def attempt(self, address: str) -> Generator[None]:
        """Check one key in the body; the attempt stays counted if the body raises Unauthenticated.

        Raises TooBusy at a limit.
        """
        now, network = self._clock(), _network(address)
        while self._attempts and now - self._attempts[0][0] >= WINDOW_S:
            self._attempts.popleft()

        of_network = sum(1 for _, other in self._attempts if other == network)
        if of_network >= MAX_PER_ADDRESS or len(self._attempts) >= MAX_TOTAL:
            if of_network >= MAX_PER_ADDRESS:
                origin = "from your address"
            else:
                origin = "here"

            raise TooBusy(
                f"Too many wrong keys were typed {origin}.",
                retry_after=int(WINDOW_S),
                hint="Try again in a minute.",
                remedy=SIGN_IN,
            )

        entry = (now, network)
        self._attempts.append(entry)
        wrong = False
        try:
            yield
        except Unauthenticated:
            wrong = True
            raise
        finally:
            # Right keys and other errors are taken off again: only wrong keys count.
            if not wrong:
                self._discard(entry)

    def _discard(self, entry: tuple[float, str]) -> None:
        # It may have left the window during a slow check.
        if entry in self._attempts:
            self._attempts.remove(entry)


def _network(address: str) -> str:
    """Return the address that an attempt counts on: for IPv6 the customer's network.

    A value that is no address counts on itself.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            # A dual-stack socket reports IPv4 clients like this.
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), _IPV6_PREFIX), strict=False))
    return str(parsed)
