"""Faults and limits of one session with a server, without the HTTP client that most sessions never load."""

from __future__ import annotations

from dataclasses import dataclass

from codewords_mcp.errors import CodewordsError

MAX_BYTES = 10 << 20
"""Bytes of one response."""
MAX_STREAM_BYTES = 64 << 20
"""Bytes of the one stream on which a server of the older transport sends everything."""


@dataclass(slots=True)
class SessionFaults:
    """Faults of the server and of the network in a session. `unauthorized`: 401 was answered."""

    first: CodewordsError | None = None
    status: int = 0
    unauthorized: bool = False
    sign_in: bool = False
    """Whether the refusal said where its authorization server is described (RFC 9728)."""
    lost: bool = False
    """Whether the server forgot the session: the request was not carried out."""

    def note(self, error: CodewordsError) -> None:
        """Keep the first error."""
        if self.first is None:
            self.first = error
