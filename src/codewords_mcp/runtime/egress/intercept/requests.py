"""Outgoing requests: checked, with secrets in place of placeholders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from codewords_mcp.runtime.egress.intercept.credentials import Headers, Misplaced, PlaceholderScan
from codewords_mcp.runtime.egress.intercept.observation import PassingExchange, recorded_head
from codewords_mcp.runtime.egress.intercept.responses import readable
from codewords_mcp.runtime.egress.intercept.session import InterceptSession
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.recording.writes import egress_write

_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"te",
        b"upgrade",
        b"http2-settings",
    }
)
_RANGES: Final = frozenset({b"range", b"if-range"})
# Names that a `Connection` header may not remove from a message.
_END_TO_END: Final = frozenset({b"close", b"content-length", b"transfer-encoding", b"host"})
FIX: Final = "Send it where its rule lets it stand, or set the secret without a rule"


class RequestRefused(Exception):  # an outcome, caught inside this package
    """The request is answered here: `message` goes to the program, `reason` to the run's record."""

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Head of the workflow's request. `target` is path and query, percent-encoded."""

    method: str
    target: bytes
    headers: Headers


class Outgoing:
    """One request. `target` and `headers` are as the host gets them."""

    def __init__(self, session: InterceptSession, head: RequestHead, *, upgrades: bool) -> None:
        self._session = session
        self._head = head
        self.method = head.method
        self.upgrades = upgrades
        """Whether it requests a websocket."""
        self._exchange: OpenExchange | None = None
        # The same one's request, where it is recorded as it passes.
        self._passing: PassingExchange | None = None
        self._scan: PlaceholderScan = session.interception.credentials.watch()
        # Rules apply to TLS only, so a plain connection never matches one.
        port = session.port if session.secure else 0

        try:
            swapped = session.interception.credentials.swap(session.host, port, head.target, head.headers)
        except Misplaced as error:
            raise misplaced(session, error.reason) from error

        self.target, self.headers, self.secrets = swapped
        self.takes_parts = (session.host, session.port) not in session.interception.credentials.hosts
        """Whether ranges may be requested.

        A value that two ranges cut in half would be found in neither.
        """
        # A host would answer a range with half a value.
        if not self.takes_parts:
            self.headers = [(name, value) for name, value in self.headers if name.lower() not in _RANGES]
        if self.secrets:
            session.used(self.secrets)

    async def consult_recorder(
        self, recording: RecordingSession, body: bytes | None
    ) -> RecordedResponse | None:
        """A recorder's response; None if the request is sent.

        Raises RequestRefused if it is blocked.
        """
        head, session = self._head, self._session
        url, headers = recorded_head(session, head.target, head.headers)
        reason = egress_write(head.method, url.decode("latin-1"), head.headers, body, upgrades=self.upgrades)
        verdict = await recording.decide("egress", head.method, url, headers, body, writes=bool(reason))
        if isinstance(verdict, RecordedResponse):
            return verdict
        if isinstance(verdict, BlockedRequest):
            raise RequestRefused(
                409, f"The request to {session.host} was not sent: {verdict.why}.", f"not sent: {verdict.why}"
            )

        self._exchange = verdict
        if verdict is not None:
            self.headers = verdict.outgoing_headers(self.headers)
        return None

    def observe(self, recording: RecordingSession) -> None:
        """Have it recorded as it passes, for a recorder that answers nothing."""
        url, headers = recorded_head(self._session, self._head.target, self._head.headers)
        self._exchange = recording.observe("egress", self.method, url, headers)
        self._passing = PassingExchange(self.method, self._exchange, upgrades=self.upgrades)

    def check_body(self, chunk: bytes) -> None:
        """Check a chunk of the body before it is sent, and record it. Raises RequestRefused."""
        found = self._scan.found(chunk)
        if found is not None:
            raise misplaced(self._session, f"its body holds {found}")
        if self._passing is not None:
            self._passing.request_body(chunk)

    def check_trailers(self, trailers: Headers) -> None:
        """Check what follows the body. Raises RequestRefused."""
        found = self._scan.found(b"".join(b"%b: %b\n" % pair for pair in trailers))
        if found is not None:
            raise misplaced(self._session, f"its body holds {found}")

    def on_sent(self) -> None:
        """Record that the request is complete."""
        if self._passing is not None:
            self._passing.request_end()

    def on_unsent(self) -> None:
        """Note that no byte of it was sent."""
        if self._exchange is not None:
            self._exchange.unsent = True

    def on_response(self, status: int, headers: Headers) -> None:
        """Record the response's head, as the program gets it."""
        if self.secrets and 300 <= status < 400:
            self._note_redirect(headers)
        if self._exchange is not None:
            self._exchange.record_response(status, headers)

    def on_body(self, chunk: bytes) -> None:
        """Record a chunk of the response's body, as the program gets it."""
        if self._exchange is not None:
            self._exchange.record_chunk(chunk)

    def on_trailers(self, headers: Headers) -> None:
        """Record headers that follow the response's body."""
        if self._exchange is not None:
            self._exchange.record_trailers(headers)

    def on_end(self, *, whole: bool) -> None:
        """End the exchange. `whole`: the response was complete. Only the first call counts."""
        if self._exchange is not None:
            self._exchange.end(whole=whole)

    def _note_redirect(self, headers: Headers) -> None:
        """Record a redirect that would take the placeholder to a host where it has no meaning."""
        from urllib.parse import urlsplit

        location = next((v for n, v in headers if n.lower() == b"location"), b"").decode("latin-1")

        try:
            target = urlsplit(location)
            host, port = target.hostname, target.port or (80 if target.scheme == "http" else 443)
        except ValueError:
            return

        if host is not None and not self._session.interception.covers(host, port):
            names = " and ".join(self.secrets)
            self._session.refused(
                f"it was redirected to another host, which does not get the value of {names}"
            )


def misplaced(session: InterceptSession, reason: str) -> RequestRefused:
    """The refusal for a misplaced placeholder."""
    return RequestRefused(403, f"The request to {session.host} was refused: {reason}. {FIX}.", reason)


def prepare(session: InterceptSession, method: str, target: bytes, headers: Headers) -> Outgoing:
    """Prepare a request of HTTP/1.1. Raises RequestRefused."""
    lowered = [(name.lower(), value) for name, value in headers]
    # A `Connection` header names headers of one hop (RFC 9110, 7.6.1).
    named = {token.strip().lower() for n, v in lowered if n == b"connection" for token in v.split(b",")}
    _judge_target(session, method, target)
    _judge_framing(lowered)
    _judge_host(session, [value for name, value in lowered if name == b"host"])
    upgrade = next((v for n, v in lowered if n == b"upgrade"), b"").strip().lower()
    upgrades = upgrade == b"websocket" and b"upgrade" in named
    dropped = _HOP | (named - _END_TO_END)
    if upgrades:
        # Frames are scanned, so they must not be compressed.
        dropped |= {b"sec-websocket-extensions"}
    forwarded = _with_readable_encodings([(n, v) for n, v in headers if n.lower() not in dropped])
    if upgrades:
        # Added again as a switch between us and the host.
        forwarded += [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]
    return Outgoing(session, RequestHead(method, target, forwarded), upgrades=upgrades)


def prepare_stream(session: InterceptSession, headers: Headers) -> tuple[Outgoing, Headers]:
    """Prepare a request of HTTP/2, and its head for the host. Raises RequestRefused."""
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    method, target = pseudo.get(b":method", b"").decode("latin-1"), pseudo.get(b":path", b"")
    # Extended CONNECT (RFC 8441) would open a websocket inside a stream.
    if pseudo.get(b":scheme") != b"https" or b":protocol" in pseudo:
        raise _no_path(session)

    _judge_target(session, method, target)
    hosts = [value for name, value in headers if name == b"host"]
    _judge_host(session, [pseudo[b":authority"]] if b":authority" in pseudo else hosts)
    # Both may be there, and hosts differ in which they follow.
    if hosts:
        _judge_host(session, hosts)
    forwarded = _with_readable_encodings(
        [(n, v) for n, v in headers if not n.startswith(b":") and n != b"host"]
    )
    outgoing = Outgoing(session, RequestHead(method, target, forwarded), upgrades=False)
    head = [
        (b":method", method.encode("latin-1")),
        (b":scheme", b"https"),
        (b":authority", session.authority.encode()),
        (b":path", outgoing.target),
        *outgoing.headers,
    ]

    return outgoing, head


def _with_readable_encodings(headers: Headers) -> Headers:
    """Headers that request readable encodings only."""
    readable_headers = [(n, readable(v) if n.lower() == b"accept-encoding" else v) for n, v in headers]
    if not any(name.lower() == b"accept-encoding" for name, _ in readable_headers):
        # Without the header a host may choose any encoding.
        readable_headers.append((b"accept-encoding", b"identity"))
    return readable_headers


def _judge_target(session: InterceptSession, method: str, target: bytes) -> None:
    is_path = target.startswith(b"/") or (target, method) == (b"*", "OPTIONS")
    # CONNECT and TRACE would turn a host into a proxy, or have it repeat a value.
    if method in {"CONNECT", "TRACE"} or not is_path:
        raise _no_path(session)


def _no_path(session: InterceptSession) -> RequestRefused:
    return RequestRefused(
        400,
        f"This is a connection to {session.host}: requests here name a path, and are neither CONNECT nor TRACE.",
        "its target is not a path, or its method is not forwarded",
    )


def _judge_framing(headers: Headers) -> None:
    lengths = [value for name, value in headers if name == b"content-length"]
    coding = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    # Two lengths are how a request is hidden in another one's body.
    if (lengths and coding) or len(lengths) > 1 or coding not in ([], [b"chunked"]):
        raise RequestRefused(
            400,
            "The request states its length in two ways.",
            "it states its length in two ways (request smuggling)",
        )


def _judge_host(session: InterceptSession, hosts: list[bytes]) -> None:
    # The certificate that the host proves is for this name only.
    accepted = {session.authority, f"{session.host}:{session.port}"}
    if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in accepted:
        raise RequestRefused(
            421,
            f"This is a connection to {session.authority}, and the request names another host.",
            "its Host header names another host than the connection was made to",
        )
