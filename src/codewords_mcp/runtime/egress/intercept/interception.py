"""State that the intercepted connections of one sandbox share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from codewords_mcp.runtime.egress.intercept.credentials import Credentials, SandboxCredential
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.secrets.scrub import Scrubber

if TYPE_CHECKING:
    from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority

MAX_UNREAD_HOSTS: Final = 1000
"""Hosts that a sandbox learns about; a program may name as many as it likes."""


class Interception:
    """Created before a sandbox starts that has a secret with a host rule, or runs that are recorded.

    The hosts of the rules are intercepted, with `everywhere` all TLS hosts. With `records` what is HTTP elsewhere
    passes as it is and is read, except for the hosts in `unread`, each with the reason: their clients would notice.
    """

    def __init__(
        self,
        every: list[SandboxCredential],
        *,
        everywhere: bool = False,
        records: bool = False,
        trusted: bool = True,
        recording: RecordingSession | None = None,
        unread: dict[str, str] | None = None,
        on_unread: Callable[[str, str], None] | None = None,
    ) -> None:
        self.credentials = Credentials(every)
        self.scrubber = Scrubber({credential.name: credential.value for credential in every})
        self.everywhere = everywhere
        self.records = records or recording is not None
        self.trusted = trusted
        """Whether programs trust the authority: not where their variables name a list of their own."""
        self.unread = dict(unread or {})
        """Host → why it is not read, for this version. Learned as its programs run."""
        self.accepted: set[str] = set()
        """Hosts for which a program has trusted the authority."""
        self._on_unread = on_unread
        self._recording = recording
        # Connections that would go on past a recorder that came later.
        self._open: set[Callable[[], None]] = set()
        self.authority = self._authority()

    def _authority(self) -> CertificateAuthority:
        # Brings X.509, a tenth of the memory of a runtime that runs nothing.
        from codewords_mcp.runtime.egress.intercept.authority import CertificateAuthority, shared_authority

        # The program has to trust it for any host: one for all such sandboxes serves as well as one for each.
        if self.records:
            return shared_authority()
        if self.everywhere:
            return CertificateAuthority(None)
        # Limited to the rules' hosts, so that a stolen key is of use for them only.
        return CertificateAuthority({host for host, _ in self.credentials.hosts})

    @property
    def recording(self) -> RecordingSession | None:
        """The recorder of the run that has the sandbox; None before and after, when nothing is recorded."""
        return self._recording

    @recording.setter
    def recording(self, session: RecordingSession | None) -> None:
        self._recording = session
        if self.answers:
            # Made while the sandbox was prepared: the recorder could not hold what is sent on them.
            for reset in list(self._open):
                reset()

    @property
    def answers(self) -> bool:
        """Whether hosts are dialled only when the recorder lets something be sent there."""
        return self._recording is not None and self._recording.recorder.answers

    @property
    def everything_here(self) -> bool:
        """Whether connections to any host have to be made by this machine."""
        return self.everywhere or self.records

    def covers(self, host: str, port: int) -> bool:
        """Whether requests to the host and port are read before they are sent on, and may be changed or refused."""
        return self.everywhere or self.answers or (host, port) in self.credentials.hosts

    def leave_unread(self, host: str, why: str) -> None:
        """Tunnel connections to this host from now on. `why` completes "not recorded: …"."""
        if host in self.unread or len(self.unread) >= MAX_UNREAD_HOSTS:
            return
        self.unread[host] = why
        if self._on_unread is not None:
            self._on_unread(host, why)

    def opened(self, reset: Callable[[], None]) -> None:
        """Note a connection that passes the recorder by."""
        self._open.add(reset)

    def closed(self, reset: Callable[[], None]) -> None:
        """Forget it."""
        self._open.discard(reset)
