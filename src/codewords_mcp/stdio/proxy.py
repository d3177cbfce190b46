"""The stdio server: lines of stdin to the runtime, its messages to stdout, many at once."""

from __future__ import annotations

import os
import sys
import time
from _queue import Empty, SimpleQueue  # `queue` would bring heapq and more for these
from _thread import allocate_lock, start_new_thread

from codewords_mcp.stdio import jsonrpc as _wire
from codewords_mcp.stdio.calls import MessageForwarder, PendingCall
from codewords_mcp.stdio.output import ProtocolOutput, say
from codewords_mcp.stdio.runtime_address import Unavailable, choose
from codewords_mcp.stdio.threads import Latch

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    import _signal  # `signal` would bring enumerations

_LINE_LIMIT = 64 << 20
"""Bytes of one line of stdin."""
_AT_ONCE = 512
"""Messages in flight; more are refused."""
_FINISH = 5.0
"""Seconds for what is in flight after stdin has ended."""
# A session must exist before anything else is sent in it; all other messages may overtake each
# other.
_IN_ORDER = {"initialize", "notifications/initialized"}
_ORDER_WAIT = 120.0
_END = b""
_CALL_ENDED = -1
"""An event while the proxy leaves; no signal has this number."""


def run(narrowed: dict[str, str]) -> int:
    """Serve until stdin ends or a signal comes. Returns the exit code. `narrowed` are headers of every request."""
    if sys.stdin is not None and sys.stdin.isatty():
        say(
            "this is the stdio MCP server that a chat host starts; it waits for JSON-RPC on stdin. See codewords-mcp --help."
        )

    output = ProtocolOutput()
    try:
        return StdioProxy(MessageForwarder(choose(narrowed), output), output).run()
    except Unavailable as error:
        say(str(error))
        return 2


class StdioProxy:
    """Reads, keeps the order that the protocol asks for, and hands each message to a thread of its own."""

    def __init__(self, forwarder: MessageForwarder, output: ProtocolOutput) -> None:
        self._forwarder = forwarder
        self._output = output
        self._events: SimpleQueue[bytes | int] = SimpleQueue()
        self._calls: dict[_wire.Key, PendingCall] = {}
        self._running = 0
        self._lock = allocate_lock()
        self._leaving = False
        self._gate = Latch()
        self._gate.set()

    def run(self) -> int:
        """Dispatch messages in the main thread, which a signal can wake. Returns the exit code."""
        for number in (_signal.SIGTERM, _signal.SIGINT):
            _signal.signal(number, self._on_signal)
        # A read of stdin cannot be ended from outside; a daemon thread does not keep the process.
        start_new_thread(self._read, ())
        while not self._output.gone:
            event = self._events.get()
            if isinstance(event, int):
                return self._leave(0.0, 130 if event == _signal.SIGINT else 0)
            if event == _END:
                break

            self._dispatch(event)

        return self._leave(_FINISH, 0)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # SimpleQueue.put is reentrant, which a signal handler needs: it may interrupt a put.
        self._events.put(number)

    def _read(self) -> None:
        pending: list[bytes] = []
        size = 0
        while True:
            try:
                part = os.read(0, 1 << 16)
            except OSError:
                part = b""

            if not part:
                break

            first, *rest = part.split(b"\n")
            pending.append(first)
            size += len(first)
            if size > _LINE_LIMIT:
                pending, size = [b"!"], 0  # unreadable on purpose: it is answered as a parse error
            for line in rest:
                self._line(b"".join(pending))
                pending, size = [line], len(line)

        self._line(b"".join(pending))
        self._events.put(_END)

    def _line(self, line: bytes) -> None:
        if line := line.strip():
            self._events.put(line)

    def _dispatch(self, line: bytes) -> None:
        try:
            message = _wire.parse(line)
        except _wire.Malformed as error:
            self._output.line(_wire.error(error.request_id, error.code, str(error)))
            return

        call = PendingCall(message, line)
        # Registered before the thread starts, so that a cancellation on the next line finds it.
        with self._lock:
            if self._running >= _AT_ONCE:
                self._refuse(call)
                return
            if _wire.is_request(message):
                if _wire.key(call.id) in self._calls:  # two answers to one id could not be told apart
                    self._refuse_same_id(call)
                    return
                self._calls[_wire.key(call.id)] = call

            self._running += 1

        # Only the messages of the handshake replace the gate. Everything after one waits for
        # it.
        before, mine = self._gate, Latch()
        if call.method in _IN_ORDER:
            self._gate = mine
        # A thread each: a tool call may take minutes and must not hold up the calls behind it.
        # None of them keeps the process after `_leave`.
        start_new_thread(self._serve, (call, before, mine))

    def _refuse(self, call: PendingCall) -> None:
        if _wire.is_request(call.message):
            self._output.line(
                _wire.error(
                    call.id, _wire.INTERNAL_ERROR, f"{_AT_ONCE} calls are in flight; wait for one of them."
                )
            )

    def _refuse_same_id(self, call: PendingCall) -> None:
        self._output.line(
            _wire.error(
                call.id, _wire.INVALID_REQUEST, "Invalid request: a request with this id is in flight."
            )
        )

    def _serve(self, call: PendingCall, before: Latch, mine: Latch) -> None:
        try:
            # Bounded: if the handshake hangs, its own error is reported, and later calls get
            # theirs.
            before.wait(_ORDER_WAIT)
            if call.method == "notifications/cancelled":
                self._forwarder.cancel(self._named(call), call)
            else:
                self._forwarder.forward(call)
        finally:
            mine.set()
            with self._lock:
                self._running -= 1
                # Notifications have no id and were never registered; `is` keeps them from
                # removing a call.
                if self._calls.get(key := _wire.key(call.id)) is call:
                    del self._calls[key]
                if self._leaving:
                    self._events.put(_CALL_ENDED)

    def _named(self, cancellation: PendingCall) -> PendingCall | None:
        request_id = _wire.usable_id({"id": _wire.params_of(cancellation.message).get("requestId")})
        with self._lock:
            if request_id is None:
                return None
            return self._calls.get(_wire.key(request_id))

    def _leave(self, finish_timeout: float, code: int) -> int:
        """Let what is in flight come to its end for a while, hang up on the rest, end the session."""
        deadline = time.monotonic() + finish_timeout
        with self._lock:
            self._leaving = True
        while not self._is_settled() and (left := deadline - time.monotonic()) > 0:
            try:
                self._events.get(timeout=left)
            except Empty:
                break

        with self._lock:
            unfinished = list(self._calls.values())
        for call in unfinished:
            call.cancel()
        self._forwarder.end()
        return code

    def _is_settled(self) -> bool:
        return not self._running or self._output.gone
