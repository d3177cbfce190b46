"""A mail server on loopback."""

from __future__ import annotations

import socket
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


async def _nothing() -> None:
    """Answer at once."""


class MailServer:
    """Takes mail for everybody but refused@…; wants a password. `on_taken` is awaited before a mail is answered."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.on_taken = _nothing
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=port,
            authenticator=self._check,
            auth_required=True,
            auth_require_tls=False,
        )
        self.at = f"127.0.0.1:{port}"

    def _check(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, given: object
    ) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (
            b"house@example.org",
            b"p@ss",
        )
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("refused@"):
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        await self.on_taken()
        return "250 OK"

    def start(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        self._controller.stop()

    def last(self) -> EmailMessage:
        return self.read(-1)

    def read(self, at: int) -> EmailMessage:
        content = self.taken[at].content
        assert isinstance(content, bytes)
        found = message_from_bytes(content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found
