"""Forward one message to the runtime, and its response to the chat host."""

from __future__ import annotations

from _thread import allocate_lock

from codewords_mcp.stdio import jsonrpc as _wire
from codewords_mcp.stdio.http_client import BrokenAnswer, NotSent
from codewords_mcp.stdio.output import say
from codewords_mcp.stdio.runtime_address import Unavailable
from codewords_mcp.stdio.session import PATH, SessionLost, StdioSession
from codewords_mcp.stdio.threads import Latch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from codewords_mcp.stdio.http_client import HttpConnection, HttpResponse
    from codewords_mcp.stdio.jsonrpc import Message
    from codewords_mcp.stdio.output import ProtocolOutput
    from codewords_mcp.stdio.runtime_address import HomeRuntime, RemoteRuntime, RuntimeTarget

_HEAD_WAIT = 2.0
"""Seconds that a cancellation waits for its request to have reached the runtime first."""
_REASON_LIMIT = 300


class PendingCall:
    """A request in flight."""

    def __init__(self, message: Message, raw: bytes) -> None:
        self.message = message
        self.raw = raw
        self.id = message.get("id")
        self.method: str = message.get("method", "")
        self.version = _wire.modern_version(message)
        # A cancellation must not overtake its request: the runtime would find nothing to
        # cancel.
        self.arrived = Latch()
        """Set when the runtime has begun to answer, so it knows of the request."""
        self._lock = allocate_lock()
        self._connection: HttpConnection | None = None
        self.cancelled = False
        self.answered = False
        self.session: StdioSession | None = None
        """The session of an `initialize`, once the runtime has agreed."""

    def on_connection(self, connection: HttpConnection) -> None:
        """Register the connection to close on a cancellation. Closes it at once if the call is cancelled already."""
        with self._lock:
            self._connection = connection
            # The cancellation may have come between the dispatch of the call and its
            # connection.
            if self.cancelled:
                connection.close()

    def cancel(self) -> None:
        """Hang up: since 2026-07-28 that is the cancellation over HTTP. No answer follows."""
        with self._lock:
            self.cancelled = True
            if self._connection is not None:
                self._connection.close()


class MessageForwarder:
    """Carries messages to the runtime, each in the thread that calls."""

    def __init__(self, runtime: HomeRuntime | RemoteRuntime, output: ProtocolOutput) -> None:
        self._runtime = runtime
        self._output = output
        self._session: StdioSession | None = None
        self._mirrored = _wire.ParamHeaders()

    def forward(self, call: PendingCall) -> None:
        """Send a message and pass on what comes back. A request always gets an answer, unless it was cancelled."""
        try:
            trouble = self._carry(call)
        except (Unavailable, SessionLost) as error:
            trouble = str(error)
        except NotSent as error:
            trouble = f"The runtime could not be reached ({error})."
        except BrokenAnswer as error:
            # Not sent again: the request reached the runtime, which may have carried it out.
            trouble = (
                "The runtime stopped, or the way to it broke, while this call was in flight: "
                f"{error}. {self._runtime.lost()}"
            )

        # a stream may break off after its answer has come: the one answer stands
        if trouble and not call.cancelled and not call.answered:
            self._fail(call, _wire.CONNECTION_CLOSED, trouble)

    def cancel(self, call: PendingCall | None, notification: PendingCall) -> None:
        """Do what the request's era means by `notifications/cancelled`."""
        # In the newer era closing the response stream cancels. The older one has a notification
        # for it, which the runtime needs for its own side of the session.
        if call is not None and call.version is not None:
            call.cancel()
        elif self._session is not None:
            if call is not None:
                call.arrived.wait(_HEAD_WAIT)
                call.cancelled = True
            self.forward(notification)

    def end(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            self._session.end()

    def _carry(self, call: PendingCall) -> str:
        if call.method == "initialize":
            call.session = StdioSession(call.raw, self._relay)
        # Two tries: the runtime may be replaced, or forget the session, between the look-up and
        # the request. A second failure is not a matter of timing.
        for last_try in (False, True):
            target = self._runtime.target()
            headers = self._headers(call, target)
            try:
                connection = target.endpoint.take()
                call.on_connection(connection)
                connection.request("POST", PATH, headers, call.raw)
            except NotSent:
                # It died since it was looked at, or closes: not sent means that sending it again is safe.
                if last_try or call.cancelled:
                    raise
                continue

            answer = connection.answer()
            call.arrived.set()
            used = headers.get("Mcp-Session-Id", "")
            # 404 with a session id means that the runtime doesn't know the session (streamable
            # HTTP transport), so the request was not carried out and may be sent again.
            if answer.status == 404 and used and self._session is not None and not last_try:
                connection.close()
                self._session.expired(target, used)
                continue

            return self._pass_on(call, target, answer)

        raise AssertionError  # the loop returns or raises

    def _headers(self, call: PendingCall, target: RuntimeTarget) -> dict[str, str]:
        if call.version is not None and call.method:
            return _wire.modern_headers(call.message, call.version, self._mirrored)
        # `initialize` begins a session. Sending the id of an older one with it would be
        # refused.
        if self._session is None or call.method == "initialize":
            return _wire.legacy_headers("", "")
        return self._session.headers(target)

    def _pass_on(self, call: PendingCall, target: RuntimeTarget, answer: HttpResponse) -> str:
        """Answer the chat host; what is wrong, where no answer to it came."""
        owed = _wire.is_request(call.message)
        if answer.status >= 300:
            body = answer.read()
            if not (owed and self._relay_error(call, body)):
                return _refusal(answer.status, body, target.name)
            return ""

        if not owed:
            answer.read()
            self._after(call)
            return ""

        if answer.kind == "text/event-stream":
            # Not to be left at the answer: the stream's end is what lets the connection be kept.
            answered = sum(self._relay(data, call, target, answer) for _, data in answer.events())
        else:
            answered = self._relay(answer.read(), call, target, answer)

        if answered:
            return ""

        return f"The runtime ended without an answer to this call. {self._runtime.lost()}"

    def _after(self, call: PendingCall) -> None:
        if self._session is not None and call.version is None:
            self._session.remember(call.message, call.raw)
            if call.method == "notifications/initialized":
                self._session.listen()

    def _relay(
        self,
        data: bytes,
        call: PendingCall | None = None,
        target: RuntimeTarget | None = None,
        answer: HttpResponse | None = None,
    ) -> bool:
        """Pass one message of the runtime on. True if it was the response to `call`."""
        message = _wire.decode(data)
        if not message:
            say("the runtime sent something that is no message; it was dropped")
            return False

        answers = call is not None and _wire.is_answer(message)
        if answers and call is not None:
            call.answered = True
        if answers and call is not None and target is not None and answer is not None:
            # The chat host has dropped the id of a request that it cancelled (2026-07-28).
            if call.cancelled and call.version is not None:
                return True

            # The same bytes go on where possible: encoding a large result again costs
            # milliseconds.
            changed = message.get("id") != call.id
            message["id"] = call.id
            changed |= self._learn(call, target, answer, message)
            data = _wire.dump(message) if changed else data

        # stdio ends a message at a newline, and pretty-printed JSON over HTTP may contain some.
        self._output.line(_wire.dump(message) if b"\n" in data or b"\r" in data else data)
        return answers

    def _learn(
        self, call: PendingCall, target: RuntimeTarget, answer: HttpResponse, message: Message
    ) -> bool:
        """Keep the parts of a response that later calls need. True if the response was changed."""
        result = _wire.as_object(message.get("result"))
        if "result" not in message:
            return False

        if call.session is not None:  # a refused one leaves the session before as it is
            before, self._session = self._session, call.session
            self._session.began(target, answer, result)
            if before is not None:
                before.end()
        elif call.method == "tools/list":
            self._mirrored.learn(result)
        elif call.method == "tools/call":
            return self._put_note(result)

        self._after(call)
        return False

    def _put_note(self, result: Message) -> bool:
        content: Any = result.get("content")
        if isinstance(content, list):
            note = self._runtime.take_note()
        else:
            note = ""
        if note:
            result["content"] = [{"type": "text", "text": note}, *content]
        return bool(note)

    def _relay_error(self, call: PendingCall, body: bytes) -> bool:
        """Pass on a refusal in JSON-RPC form, with this request's id. False if the body has another form."""
        message = _wire.decode(body)
        if message.get("jsonrpc") != "2.0" or "code" not in _wire.as_object(message.get("error")):
            return False
        self._output.line(_wire.dump({"jsonrpc": "2.0", "id": call.id, "error": message["error"]}))
        return True

    def _fail(self, call: PendingCall, code: int, text: str) -> None:
        if _wire.is_request(call.message):
            self._output.line(_wire.error(call.id, code, text))
        else:
            say(f"{call.method or 'an answer'} did not reach the runtime: {text}")


def _refusal(status: int, body: bytes, name: str) -> str:
    """Return a message for a response that is not JSON-RPC."""
    subject = name[0].upper() + name[1:]
    if status in {401, 403}:
        return f"{subject} refused the key ({status}). Set CODEWORDS_API_KEY to one of its keys."
    if status == 413:
        return (
            f"The message is larger than {name} takes (413). Large data goes as a file: show_form lets the user add "
            "one to the input, and POST /file of the runtime gives programs a `download_uri` to send instead."
        )
    if status < 400:
        return (
            f"{subject} answered with a redirect ({status}). Set CODEWORDS_RUNTIME_URL to where it really is."
        )

    decoded = _wire.decode(body)
    reason = _wire.as_object(decoded.get("error", decoded)).get("message")
    # The text of a proxy in between is shown to a model: no control characters, and bounded.
    if isinstance(reason, str) and reason.isprintable():
        reason_text = f": {reason[:_REASON_LIMIT]}"
    else:
        reason_text = "."

    return f"{subject} answered {status}{reason_text}"
