"""Gemini's resumable uploads: their second request goes to an address that the first one's answer gives, without a key.

That address is led back to the gateway, with a ticket that stands for the caller and for this one upload.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from urllib.parse import urlsplit

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.runtime.models import Caller

TICKET = b"gw_ticket="
LIFETIME = 3600.0
"""Seconds that a ticket is good for."""
_HELD = 10_000


class UploadTickets:
    """Tickets of uploads that have begun."""

    def __init__(self) -> None:
        self._callers: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def issue(self, caller: Caller) -> str:
        """A new ticket."""
        ticket = secrets.token_urlsafe(24)
        self._callers[ticket] = (time.monotonic() + LIFETIME, caller)
        while len(self._callers) > _HELD:
            self._callers.popitem(last=False)
        return ticket

    def caller(self, ticket: str) -> Caller:
        """Who began the upload. Raises Unauthenticated."""
        until, caller = self._callers.get(ticket, (0.0, None))
        if caller is None or until < time.monotonic():
            raise Unauthenticated("This upload is unknown or too old.", hint="Begin the upload again.")
        return caller


def led_back(url: bytes, here: str, ticket: str) -> bytes:
    """The provider's upload address as one of ours: `here` is `http://host/gemini`, without a trailing slash."""
    parts = urlsplit(url.decode("latin-1"))
    query = f"{parts.query}&" if parts.query else ""
    return f"{here}{parts.path}?{query}{TICKET.decode()}{ticket}".encode("latin-1")


def ticket_in(query: bytes) -> str | None:
    """The ticket of a request's query."""
    for part in query.split(b"&"):
        if part.startswith(TICKET):
            return part[len(TICKET) :].decode("latin-1")
    return None


def without_ticket(query: bytes) -> bytes:
    """The query as the provider gave it."""
    return b"&".join(part for part in query.split(b"&") if not part.startswith(TICKET))
