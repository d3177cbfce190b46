"""`GET /events`: changes of the home as they happen, for pages that stay open."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import SSE, LineStream, line
from codewords_mcp.http.state import OPENED, SESSION, caller, runtime
from codewords_mcp.runtime.model.live import LiveChange, LiveKind

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.open_requests import OpenRequest

_HEARTBEAT = b": still here\n\n"
_SIGNED_OUT = b"event: signed-out\ndata: {}\n\n"
"""The last event of a stream whose session or key has ended."""


async def follow(request: Request) -> Response:
    """Stream changes as server-sent events."""
    scope = request.scope
    opened = cast("OpenRequest | None", scope.get(OPENED))
    if opened is not None:
        # A cut-off stream would not say that its person is signed out.
        opened.is_spared = True
    return LineStream(_written(scope, opened), SSE)


async def _written(scope: Scope, opened: OpenRequest | None) -> AsyncGenerator[bytes]:
    served = runtime(scope)
    async with aclosing(served.changes.follow(caller(scope))) as batches:
        async for batch in batches:
            # Before each batch, so that whoever was signed out is told nothing more.
            standing = "same" if opened is None else await served.open_requests.standing(opened.holder)
            if standing == "ended":
                yield _SIGNED_OUT
            # With fewer rights the browser connects again by itself.
            if standing != "same":
                return
            if (session_id := scope.get(SESSION)) is not None:
                await served.sessions.note_use(session_id)
            yield b"".join(map(_event, batch)) or _HEARTBEAT


def _event(change: LiveChange) -> bytes:
    data = line(change.model_dump(exclude={"kind"}, exclude_none=True))
    return b"event: " + change.kind.encode() + b"\ndata: " + data + b"\n"


OPERATIONS = [
    HttpOperation(
        "GET", "/events", "Follow the changes of this home", follow, tag="runtime", media=SSE,
        description="Server-sent events. `run` has `id`, `service_id` and `status`; "
        f"{', '.join(f'`{kind}`' for kind in get_args(LiveKind) if kind != 'run')} say that a list is to be read again. "
        "`signed-out` ends the stream of a session or key that has ended. "
        "A comment about every 15 s says that the runtime is there. Nothing is repeated after a broken connection: read "
        "what you show again.",
    ),
]  # fmt: skip
