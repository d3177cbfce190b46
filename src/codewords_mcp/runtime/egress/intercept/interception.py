"""Everything that one sandbox's intercepted connections share."""

from __future__ import annotations

from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority
from codewords_mcp.runtime.egress.intercept.credentials import Credentials, SandboxCredential
from codewords_mcp.runtime.recording.recorder import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber


class Interception:
    """Made before a sandbox starts that has a secret with a host rule, or whose requests are put to a recorder.

    Intercepted are the hosts of the rules; with `everywhere`, or a `recording`, all hosts that are spoken to by TLS.
    """

    def __init__(
        self,
        every: list[SandboxCredential],
        *,
        everywhere: bool = False,
        recording: RecordingSession | None = None,
    ) -> None:
        self.credentials = Credentials(every)
        self.scrubber = Scrubber({one.name: one.value for one in every})
        self.everywhere = everywhere or recording is not None
        self.recording = recording
        hosts = {host for host, _ in self.credentials.hosts}
        self.authority = CertificateAuthority(None if self.everywhere else hosts)

    def covers(self, host: str, port: int) -> bool:
        """Whether connections to there are intercepted; all others are tunnelled."""
        return self.everywhere or (host, port) in self.credentials.hosts
