"""Session of the older protocol era: its id, its renewal after a restart of the runtime, its listening stream.

The chat host sends `initialize` once and never learns that the runtime behind the proxy is another one now. So the
messages that made the session are stored and replayed: initialize, initialized, the log level and the subscriptions.
"""

from __future__ import annotations

from _thread import RLock, start_new_thread

from codewords_mcp.stdio import jsonrpc as _wire
from codewords_mcp.stdio.http_client import BrokenAnswer, NotSent
from codewords_mcp.stdio.threads import Latch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from codewords_mcp.stdio.http_client import HttpConnection, HttpResponse
    from codewords_mcp.stdio.jsonrpc import Message
    from codewords_mcp.stdio.runtime_address import RuntimeTarget

PATH = "/mcp"
_RECONNECT = 1.0
_LISTEN_AGAIN = 30.0
"""Seconds after which a session that the runtime ended is made again for its listening stream, if no call did so before. Not
at once: where too many sessions compete for room, each that came back would end another.
"""
_GOODBYE = 1.0
"""Seconds that ending the session may take at the most."""


class SessionLost(Exception):
    """The runtime refused to make the session again."""


class StdioSession:
    """The session that `initialize` made. `relay` gets each message of the listening stream."""

    def __init__(
        self, initialize: bytes, relay: Callable[[bytes], object], *, listen_again: float = _LISTEN_AGAIN
    ) -> None:
        self._listen_again_after = listen_again
        self._initialize = initialize
        self._relay = relay
        # Reentrant: `_again` holds it and calls `began`, which takes it too.
        self._lock = RLock()
        self._closed = Latch()
        self._listening: HttpConnection | None = None
        self._replayed: dict[tuple[str, str], bytes] = {}
        self._initialized: bytes | None = None
        self.target: RuntimeTarget | None = None
        self.id = ""
        self.version = ""

    def began(self, target: RuntimeTarget, answer: HttpResponse, result: Message) -> None:
        """Store the session id and version of the runtime's response to `initialize`."""
        with self._lock:
            self.target = target
            self.id = answer.headers.get("mcp-session-id", "")
            self.version = str(result.get("protocolVersion", ""))

    def headers(self, target: RuntimeTarget) -> dict[str, str]:
        """The headers of a request to this runtime, where the session is made again if it is another one.

        Raises SessionLost, NotSent, BrokenAnswer.
        """
        with self._lock:
            # Under the lock, so that of many calls after a restart only one makes the session
            # again.
            if self.target is not None and self.target is not target:
                self._again(target)
            return _wire.legacy_headers(self.id, self.version)

    def expired(self, target: RuntimeTarget, used: str) -> None:
        """Make another session because the runtime lost the session `used`, unless another thread has just done so.

        Raises SessionLost, NotSent, BrokenAnswer.
        """
        with self._lock:
            # Another thread that got the same 404 may have made the session again already.
            if self.id == used:
                self._again(target)

    def remember(self, message: Message, raw: bytes) -> None:
        """Store a message that has to be sent again in a new session."""
        method, params = message.get("method"), _wire.params_of(message)
        with self._lock:
            if method == "notifications/initialized":
                self._initialized = raw
            elif method == "logging/setLevel":
                self._replayed["level", ""] = raw
            elif method == "resources/subscribe":
                self._replayed["uri", str(params.get("uri"))] = raw
            elif method == "resources/unsubscribe":
                self._replayed.pop(("uri", str(params.get("uri"))), None)

    def _again(self, target: RuntimeTarget) -> None:
        answer, body = self._post(target, self._initialize, _wire.legacy_headers("", ""))
        reply = _last_answer(body)
        if answer.status != 200 or "result" not in reply:
            raise SessionLost(
                "The runtime is another one now and did not take up the session. Start the connection to this server again."
            )

        self.began(target, answer, reply["result"])
        headers = _wire.legacy_headers(self.id, self.version)
        # `initialized` goes first: the server may refuse everything else before it.
        for raw in (self._initialized, *self._replayed.values()):
            if raw is not None:
                self._post(target, raw, headers)

        if self._initialized is not None:
            self.listen()

    @staticmethod
    def _post(target: RuntimeTarget, raw: bytes, headers: dict[str, str]) -> tuple[HttpResponse, list[bytes]]:
        connection = target.endpoint.take()
        connection.request("POST", PATH, headers, raw)
        answer = connection.answer()
        streamed = answer.kind == "text/event-stream"
        # Read to the end, so that the connection can be reused.
        return answer, [data for _, data in answer.events()] if streamed else [answer.read()]

    def listen(self) -> None:
        """Open the stream on which the runtime speaks first, and keep it open."""
        if self.target is not None:
            start_new_thread(self._keep_listening, (self.target, self.id))

    def _keep_listening(self, target: RuntimeTarget, session_id: str) -> None:
        last_event = ""
        # A new session has a listening thread of its own, so the thread of the old one ends.
        while not self._closed.is_set() and self.id == session_id:
            try:
                connection = target.endpoint.take()
                self._listening = connection
                headers = _wire.legacy_headers(session_id, self.version)
                if last_event:
                    headers["Last-Event-ID"] = last_event
                connection.request("GET", PATH, headers)
                answer = connection.answer()

                if answer.status != 200 or answer.kind != "text/event-stream":
                    connection.close()  # 405: this runtime has none
                    if answer.status == 404:
                        self._listen_again(target, session_id)
                    return

                for event_id, data in answer.events():
                    last_event = event_id or last_event
                    self._relay(data)
            except NotSent:
                return  # gone; the next call starts another, and its session listens again
            except BrokenAnswer:
                # The stream broke: reconnect with Last-Event-ID, and the runtime resends what
                # was missed.
                pass

            self._closed.wait(_RECONNECT)

    def _listen_again(self, target: RuntimeTarget, session_id: str) -> None:
        """Make the session again, which opens another stream, unless a call did; a runtime that is gone has none to give."""
        if self._closed.wait(self._listen_again_after):
            return
        try:
            self.expired(target, session_id)
        except (NotSent, BrokenAnswer, SessionLost):
            return  # the next call says so

    def end(self) -> None:
        """Stop listening and tell the runtime that the session is over; in the background, awaited briefly."""
        self._closed.set()
        if self._listening is not None:
            self._listening.close()
        if self.target is None or not self.id:
            return
        sent = Latch()
        start_new_thread(self._delete, (self.target, sent))
        # Bounded: a chat host that quits must not wait for a runtime that doesn't answer.
        sent.wait(_GOODBYE)

    def _delete(self, target: RuntimeTarget, sent: Latch) -> None:
        try:
            connection = target.endpoint.take()
            connection.request("DELETE", PATH, _wire.legacy_headers(self.id, self.version))
            connection.answer()
            connection.close()
        except (NotSent, BrokenAnswer):
            pass  # it ends the session itself after a while
        finally:
            sent.set()


def _last_answer(body: list[bytes]) -> Message:
    # Notifications may come on the same stream before the response.
    for data in reversed(body):
        try:
            message = _wire.parse(data)
        except _wire.Malformed:
            continue
        if _wire.is_answer(message):
            return message
    return {}
