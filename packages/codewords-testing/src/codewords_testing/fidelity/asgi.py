"""Replies of stand-ins that are ASGI applications."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Message, Send

from codewords_testing.fidelity.exchange import SentReply, is_observed, report


class ReportedReply:
    """Passes a reply on and keeps a copy of it, where anybody compares replies. Give `send` to the application.

    `close` reports what was sent of a reply that did not end.
    """

    def __init__(self, service: str, request: Request, send: Send, sent: bytes = b"") -> None:
        self._service = service
        self._request = request
        self._send = send
        self._sent = sent
        self._pieces: list[bytes] = []
        self._head: tuple[int, str] | None = None
        self._is_observed = is_observed()

    async def send(self, message: Message) -> None:
        """See `starlette.types.Send`."""
        if self._is_observed and message["type"] == "http.response.start":
            media = dict(message["headers"]).get(b"content-type", b"").decode()
            self._head = (message["status"], media)
        elif self._is_observed and message["type"] == "http.response.body":
            self._pieces.append(bytes(message.get("body", b"")))
            if not message.get("more_body"):
                self._report(cut=False)
        await self._send(message)

    def close(self) -> None:
        """Report a reply whose end has not been sent."""
        self._report(cut=True)

    def _report(self, *, cut: bool) -> None:
        if self._head is None:
            return
        status, media = self._head
        self._head = None
        path, method = self._request.url.path, self._request.method
        report(SentReply(self._service, method, path, status, media, b"".join(self._pieces), cut, self._sent))
