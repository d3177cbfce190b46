"""Gemini's resumable uploads: the second request goes, without a key, to an address from the first
response.

That address is rewritten to the gateway, with a ticket for the caller and this upload. A ticket is
valid for one path and upload id, once per part, until the upload is complete, and no longer than
its run.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from codewords_mcp.errors import Conflict, Unauthenticated
from codewords_mcp.runtime.model.caller import Caller

TICKET = b"gw_ticket="
TICKET_TTL = 3600.0
"""Seconds that a ticket is valid."""
_MAX_UPLOADS = 10_000


@dataclass(slots=True)
class ProviderUpload:
    """One upload in progress. `path` is the gateway's, `query` the provider's."""

    caller: Caller
    path: str
    query: bytes
    until: float
    sent: set[str] = field(default_factory=set[str])
    """Offsets of parts that were sent or are being sent."""


class UploadTickets:
    """Tickets of uploads in progress."""

    def __init__(self) -> None:
        self._uploads: OrderedDict[str, ProviderUpload] = OrderedDict()

    def issue(self, caller: Caller, url: bytes, mount_url: str) -> bytes:
        """Rewrite the provider's upload address to the gateway, with a new ticket.

        `mount_url` is `http://host/gemini`, without a trailing slash.
        """
        ticket = secrets.token_urlsafe(24)
        parts = urlsplit(url.decode("latin-1"))
        path = urlsplit(mount_url).path + unquote(parts.path)
        self._uploads[ticket] = ProviderUpload(
            caller, path, parts.query.encode("latin-1"), time.monotonic() + TICKET_TTL
        )
        # Uploads that were given up must not fill the memory.
        while len(self._uploads) > _MAX_UPLOADS:
            self._uploads.popitem(last=False)
        query = f"{parts.query}&" if parts.query else ""
        return f"{mount_url}{parts.path}?{query}{TICKET.decode()}{ticket}".encode("latin-1")

    def caller(self, path: str, query: bytes) -> Caller:
        """The caller that began the upload of a request. Raises Unauthenticated."""
        return self._find(path, query).caller

    def forget_run(self, run_id: str) -> None:
        """Drop the uploads of a run that has ended."""
        for ticket in [ticket for ticket, upload in self._uploads.items() if upload.caller.run_id == run_id]:
            del self._uploads[ticket]

    @contextmanager
    def part(self, query: bytes, headers: list[tuple[bytes, bytes]]) -> Generator[list[int]]:
        """Send one part of an upload. The block appends the response's status to the list.

        Raises Unauthenticated, and Conflict for a part that was sent already.
        """
        ticket = ticket_in(query) or ""
        upload = self._find(None, query)
        by_name = dict(headers)
        commands = {
            command.strip() for command in by_name.get(b"x-goog-upload-command", b"").lower().split(b",")
        }
        offset = by_name.get(b"x-goog-upload-offset", b"0").decode("latin-1").strip()
        writes = b"upload" in commands
        if writes and offset in upload.sent:
            raise Conflict(
                "This part of the upload was sent already.",
                hint="Send the next one, or begin the upload again.",
            )

        # Marked before it is sent: a concurrent request for the same part must fail.
        if writes:
            upload.sent.add(offset)
        statuses: list[int] = []
        try:
            yield statuses
        finally:
            done = bool(statuses) and statuses[0] < 300
            # A part that failed may be sent again.
            if not done and writes:
                upload.sent.discard(offset)
            # Without a command the request is the whole upload.
            if done and (commands & {b"finalize", b"cancel"} or not commands - {b""}):
                self._uploads.pop(ticket, None)

    def _find(self, path: str | None, query: bytes) -> ProviderUpload:
        upload = self._uploads.get(ticket_in(query) or "")
        if upload is None or upload.until < time.monotonic():
            raise Unauthenticated(
                "This upload is unknown, finished or too old.", hint="Begin the upload again."
            )
        if (path is not None and path != upload.path) or without_ticket(query) != upload.query:
            raise Unauthenticated("This upload's address is good for that upload only.")
        return upload


def ticket_in(query: bytes) -> str | None:
    """The ticket in a query, None without one."""
    for part in query.split(b"&"):
        if part.startswith(TICKET):
            return part[len(TICKET) :].decode("latin-1")
    return None


def without_ticket(query: bytes) -> bytes:
    """The query as the provider issued it."""
    if TICKET not in query:
        return query
    return b"&".join(part for part in query.split(b"&") if not part.startswith(TICKET))
