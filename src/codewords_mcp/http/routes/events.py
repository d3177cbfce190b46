"""`GET /events`: changes of the home as they happen, for pages that stay open."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import SSE, LineStream, line
from codewords_mcp.http.state import SESSION, caller, runtime
from codewords_mcp.runtime.model.live import LiveChange, LiveKind

_HEARTBEAT = b": still here\n\n"
_SIGNED_OUT = b"event: signed-out\ndata: {}\n\n"
"""The last event of a browser whose session has ended."""


async def follow(request: Request) -> Response:
    """Stream changes as server-sent events."""
    scope = request.scope
    batches = runtime(scope).changes.follow(caller(scope))
    return LineStream(_written(batches, scope.get(SESSION), runtime(scope).sessions.is_open), SSE)


async def _written(
    batches: AsyncGenerator[list[LiveChange]],
    session_id: str | None,
    is_open: Callable[[str], Awaitable[bool]],
) -> AsyncGenerator[bytes]:
    try:
        async for batch in batches:
            # Before each batch, so that who was signed out is told nothing more.
            if session_id is not None and not await is_open(session_id):
                yield _SIGNED_OUT
                return
            yield b"".join(map(_event, batch)) or _HEARTBEAT
    finally:
        await batches.aclose()


def _event(change: LiveChange) -> bytes:
    data = line(change.model_dump(exclude={"kind"}, exclude_none=True))
    return b"event: " + change.kind.encode() + b"\ndata: " + data + b"\n"


OPERATIONS = [
    HttpOperation(
        "GET", "/events", "Follow the changes of this home", follow, tag="runtime", media=SSE,
        description="Server-sent events. `run` has `id`, `service_id` and `status`; "
        f"{', '.join(f'`{kind}`' for kind in get_args(LiveKind) if kind != 'run')} say that a list is to be read again. "
        "`signed-out` ends the stream of a browser whose session has ended. "
        "A comment about every 15 s says that the runtime is there. Nothing is repeated after a broken connection: read "
        "what you show again.",
    ),
]  # fmt: skip
