"""Everything that one sandbox's intercepted connections share."""

from __future__ import annotations

from codewords_mcp.runtime.egress.intercept.authority import Authority
from codewords_mcp.runtime.egress.intercept.credentials import Credential, Credentials
from codewords_mcp.runtime.egress.intercept.tap import Tap
from codewords_mcp.runtime.secrets.scrub import Scrubber


class Interception:
    """Made for a sandbox with at least one secret that has a host rule, before it starts."""

    def __init__(self, every: list[Credential], *, tap: Tap | None = None) -> None:
        self.credentials = Credentials(every)
        self.scrubber = Scrubber({one.name: one.value for one in every})
        self.authority = Authority({host for host, _ in self.credentials.hosts})
        self.tap = tap

    def covers(self, host: str, port: int) -> bool:
        """Whether connections to there are intercepted; all others are tunnelled."""
        return (host, port) in self.credentials.hosts
