"""State that the intercepted connections of one sandbox share."""

from __future__ import annotations

from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority
from codewords_mcp.runtime.egress.intercept.credentials import Credentials, SandboxCredential
from codewords_mcp.runtime.recording.recorder import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber


class Interception:
    """Created before a sandbox starts that has a secret with a host rule, or a recorder.

    The hosts of the rules are intercepted. With `everywhere`, or a `recording`, all TLS hosts are.
    """

    def __init__(
        self,
        every: list[SandboxCredential],
        *,
        everywhere: bool = False,
        records: bool = False,
        recording: RecordingSession | None = None,
    ) -> None:
        self.credentials = Credentials(every)
        self.scrubber = Scrubber({credential.name: credential.value for credential in every})
        self.everywhere = everywhere or records or recording is not None
        self.records = records
        """Whether the sandbox's runs may have a recorder."""
        self.recording = recording
        """Set when a run takes the sandbox; None before and after."""
        hosts = {host for host, _ in self.credentials.hosts}
        # Limited to the rules' hosts where it can be, so that a stolen key is of use for them only.
        self.authority = CertificateAuthority(None if self.everywhere else hosts)

    def covers(self, host: str, port: int) -> bool:
        """Whether connections to the host and port are intercepted. All others are tunnelled."""
        return self.everywhere or (host, port) in self.credentials.hosts
