"""Calls of a run that has a recorder: it decides about them first, and records them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from codewords_mcp.errors import CodewordsError, Conflict
from codewords_mcp.runtime.gateway import headers, uploads
from codewords_mcp.runtime.gateway.named_routes import route_of
from codewords_mcp.runtime.model.provider import GatewayResponse, Provider, ProviderRequest
from codewords_mcp.runtime.recording.exchanges import Headers
from codewords_mcp.runtime.recording.recorder import (
    STREAM_END,
    BlockedRequest,
    OpenExchange,
    RecordedResponse,
    read_ahead,
)
from codewords_mcp.runtime.recording.recording_session import RecordingSession
from codewords_mcp.runtime.recording.writes import gateway_write

STREAM_ENDS: Final = (STREAM_END, b'{"type":"message_stop"}')
"""Last events of streams, after which clients go on without waiting for the end of the response."""


async def answer_or_record(
    request: ProviderRequest,
    session: RecordingSession,
    bases: Mapping[Provider, str],
    make: Callable[[ProviderRequest], Awaitable[GatewayResponse]],
) -> GatewayResponse:
    """The recorder's response, or the recorded response of `make`.

    Raises Conflict if the recorder blocks the call, and whatever `make` raises.
    """
    route = route_of(request)
    body, replayed_body = await read_ahead(request.body)
    query = uploads.without_ticket(headers.without_key(request.query))
    target = f"{bases[route.provider]}{route.path}".encode() + (b"?" + query if query else b"")
    # A metered call changes nothing at the provider, whatever its method, unless the provider's own tools act in it.
    writes = bool(gateway_write(request.method, body, metered=route.kind == "metered"))
    sent_headers = headers.of_caller(request.headers)
    verdict = await session.decide("gateway", request.method, target, sent_headers, body, writes=writes)
    if isinstance(verdict, BlockedRequest):
        raise Conflict(f"This call was not made: {verdict.why}.")
    if isinstance(verdict, RecordedResponse):
        return GatewayResponse(verdict.status, verdict.headers, verdict.pieces, _nothing, _no_usage)

    request = replace(request, body=replayed_body)
    if verdict is None:
        return await make(request)

    request = replace(request, headers=verdict.outgoing_headers(request.headers))
    return await _record(request, make, verdict)


async def _record(
    request: ProviderRequest,
    make: Callable[[ProviderRequest], Awaitable[GatewayResponse]],
    exchange: OpenExchange,
) -> GatewayResponse:
    try:
        reply = await make(request)
    except BaseException as error:
        # A cancelled call, too, must leave a finished record.
        if isinstance(error, CodewordsError):
            exchange.note = error.code
        else:
            exchange.note = "cancelled"
        exchange.end(whole=False)
        raise

    exchange.record_response(reply.status, reply.headers)

    async def pieces() -> AsyncIterator[bytes]:
        length = content_length(reply.headers)
        left, held = length, b""
        async for piece in reply.body:
            if held:
                yield held
            exchange.record_chunk(piece)
            left -= len(piece)
            held = b""
            # Who has the whole answer finds the exchange whole: the last piece waits for the end.
            if (length and left <= 0) or piece.rstrip().endswith(STREAM_ENDS):
                held = piece
            else:
                yield piece

        # The call is settled by the end of its body, so its usage is known.
        exchange.usage = reply.used()
        exchange.end(whole=True)
        if held:
            yield held

    async def close() -> None:
        try:
            await reply.aclose()
        finally:
            # A call that is closed early is settled by that.
            exchange.usage = reply.used()
            exchange.end(whole=False)

    return replace(reply, body=pieces(), aclose=close)


def content_length(headers: Headers) -> int:
    """The length that a response states; 0 where it states none."""
    stated = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(stated) if stated.isdigit() else 0


def _no_usage() -> None:
    """A recorded response costs nothing."""


async def _nothing() -> None:
    """Nothing is open."""
