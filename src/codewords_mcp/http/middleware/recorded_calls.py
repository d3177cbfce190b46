"""Requests of a recorded run to the runtime itself: its recorder decides about them first, and records them.

Calls of models are left to the gateway, which puts them to the recorder with their address at the provider.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.errors import AttemptOver, CodewordsError, Conflict
from codewords_mcp.http.middleware.errors import serve_with_errors
from codewords_mcp.http.routes.gateway import provider_of, simple_of
from codewords_mcp.runtime.recording.exchanges import MAX_BODY_BYTES
from codewords_mcp.runtime.recording.journal import is_answer
from codewords_mcp.runtime.recording.recorder import BlockedRequest, OpenExchange, RecordedResponse
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.recording.writes import call_write

POLICY_VIOLATION: Final = 1008
"""Close code of websockets (RFC 6455)."""
ORIGIN: Final = b"http://runtime"
"""Scheme and host of the recorded addresses: the real ones differ from sandbox to sandbox."""


async def serve_recorded(
    app: ASGIApp, session: RecordingSession, scope: Scope, receive: Receive, send: Send
) -> None:
    """Serve a request of a run that has a recorder. Raises Conflict if it is blocked."""
    path: str = scope["path"]
    if scope["type"] == "websocket" and session.recorder.answers:
        # Its messages cannot be judged one by one, and it starts a run.
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return
    if scope["type"] != "http" or provider_of(path) or simple_of(path):
        await app(scope, receive, send)
        return

    body, messages = await _read_ahead(receive)
    query: bytes = scope["query_string"]
    url = ORIGIN + scope.get("raw_path", path.encode()) + (b"?" + query if query else b"")
    writes = bool(call_write(scope["method"], path, scope["headers"], body))
    verdict = await session.decide("call", scope["method"], url, scope["headers"], body, writes=writes)
    if isinstance(verdict, BlockedRequest):
        raise Conflict(f"This call was not made: {verdict.why}.")
    if isinstance(verdict, RecordedResponse):
        await _answer(verdict, send)
        return

    replayed = _replayed(messages, receive)
    if verdict is None:
        await app(scope, replayed, send)
    else:
        if verdict.sends:
            scope = {**scope, "headers": verdict.outgoing_headers(list(scope["headers"]))}
        await _record(app, verdict, scope, replayed, send)


async def _record(app: ASGIApp, exchange: OpenExchange, scope: Scope, receive: Receive, send: Send) -> None:
    def judge(error: CodewordsError) -> None:
        if not is_answer(exchange.request, error):
            exchange.no_answer, exchange.note = True, error.code
            exchange.unsent = isinstance(error, AttemptOver)

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            exchange.record_response(message["status"], list(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            if chunk := message.get("body"):
                exchange.record_chunk(bytes(chunk))
            if not message.get("more_body"):
                # Before the last byte goes out: who has the answer finds the exchange whole.
                exchange.end(whole=True)
        await send(message)

    try:
        # What the app raises is a response of this exchange too.
        await serve_with_errors(app, scope, receive, noted, on_error=judge)
    finally:
        exchange.end(whole=False)


async def _answer(response: RecordedResponse, send: Send) -> None:
    # The server frames the answer anew, and a body may have been cut into other chunks.
    headers = [(n, v) for n, v in response.headers if n.lower() not in {b"transfer-encoding", b"connection"}]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    async for piece in response.pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _read_ahead(receive: Receive) -> tuple[bytes | None, list[Message]]:
    """(the body, None if longer than `MAX_BODY_BYTES`; the messages that were received)."""
    messages: list[Message] = []
    size = 0
    while size <= MAX_BODY_BYTES:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return b"".join(one.get("body", b"") for one in messages), messages
    return None, messages


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """Receive these messages, and then the rest as it comes."""
    waiting = iter(messages)

    async def replay() -> Message:
        message = next(waiting, None)
        if message is not None:
            return message
        return await receive()

    return replay
