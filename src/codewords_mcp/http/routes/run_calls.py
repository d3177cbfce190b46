"""The hot paths: calls of workflows and services, streamed both ways on bare ASGI."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.types import Receive, Scope, Send

from codewords_mcp.http.middleware.client_connection import ClientConnection, hang_ups_of
from codewords_mcp.http.middleware.cookies import on_runtime_origin
from codewords_mcp.http.middleware.headers import Headers, flag, inward, number, outward, token
from codewords_mcp.http.operations import HttpOperation, Parameter, whole_number
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import RUN_ID, app_state, caller, own_url, runtime
from codewords_mcp.runtime.model.run import RunRequest, RunResponse

MAX_DELAY = 30 * 86400
"""Seconds."""

_HEADERS = (
    Parameter("X-Provisioned-Request-Id", "An id from POST /provision-request for this run.", {"type": "string"}, "header"),
    Parameter("X-Correlation-Id", "Names a chain of calls; passed down it.", {"type": "string"}, "header"),
    Parameter("Idempotency-Key", "A repeated call with this key gets or awaits the first answer.", {"type": "string"}, "header"),
    Parameter("Codewords-Dry-Run", "`yes`: writes are held (`GET /runs/{run_id}/writes`).", {"type": "string"}, "header"),
    Parameter("Run-As-Template", "`yes`: another's public workflow gets the caller's secrets.", {"type": "string"}, "header"),
)  # fmt: skip
_BACKGROUND = (
    Parameter(
        "Codewords-Priority", "Among waiting runs: 1 first, 100 last, else 50.", whole_number(1, 100, default=50), "header",
    ),
    Parameter(
        "Codewords-Delay", "Seconds before which it does not start, at most 30 days.",
        {"type": "number", "minimum": 0, "maximum": MAX_DELAY}, "header",
    ),
)  # fmt: skip
_SANDBOXED = (b"content-security-policy", b"sandbox")
"""A page of a workflow has the origin of the console. Sandboxed it gets one of its own, and runs no script. A policy that
the workflow sets itself holds as well: browsers apply each such header.
"""

OPERATIONS = [
    HttpOperation(
        "*", "/run/{service_id}/{path}", "Call a workflow or a library service",
        tag="runs", parameters=_HEADERS, media="*/*", body={}, body_media="*/*",
        description="Any method. Status, headers and body are the workflow's own, streamed as they come; a websocket "
        "is passed through. `X-Request-Id` is the run; `Error-Origin` tells whose an error is.",
    ),
    HttpOperation(
        "*", "/run_async/{service_id}/{path}", "Call in the background",
        tag="runs", parameters=_HEADERS + _BACKGROUND, body={}, body_media="*/*", status=200,
        description="The run is recorded for good before this answers: it ends, once, also where the runtime does not "
        "live to see it. Over the caller's limit it waits in line.",
        reply={"type": "object", "properties": {"request_id": {"type": "string"}}, "required": ["request_id"]},
    ),
]  # fmt: skip


async def serve_run(scope: Scope, receive: Receive, send: Send) -> None:
    """`/run/{service_id}/{path}`. A client that hangs up half-way cancels the run, queued or running.

    With an Idempotency-Key the run goes on: the client comes again for the response, perhaps to another replica. A running
    workflow does not, since its own end ends what it has called.
    """
    limit = app_state(scope).settings.max_body
    comes_again = token(scope["headers"], b"idempotency-key") is not None and caller(scope).kind != "run"
    # Around the whole run: its block is cancelled when the caller hangs up.
    async with ClientConnection(
        receive, scope["headers"], limit=limit, hang_ups=hang_ups_of(scope), comes_again=comes_again
    ) as connection:
        service_id, path = split(scope, "/run/")
        response = await runtime(scope).runs.execute(request_for(scope, connection, service_id, path))
        prefix, here = f"/run/{service_id}", own_url(scope)
        # Only browsers send this header, and only in one of them a workflow's cookie would reach the console.
        by_browser = any(name == b"sec-fetch-site" for name, _ in scope["headers"])
        headers = [under_prefix(header, prefix, here) for header in outward(response.headers)]
        headers = [*on_runtime_origin(headers, by_browser=by_browser), _SANDBOXED]
        await pass_on(response, headers, connection, send)


async def serve_run_async(scope: Scope, receive: Receive, send: Send) -> None:
    """`/run_async/{service_id}/{path}`: the body is taken in, then the id is given."""
    limit = app_state(scope).settings.max_body
    async with ClientConnection(
        receive, scope["headers"], limit=limit, hang_ups=hang_ups_of(scope)
    ) as connection:
        service_id, path = split(scope, "/run_async/")
        request = request_for(scope, connection, service_id, path)
        request.background = True
        request.priority = int(
            number(scope["headers"], b"codewords-priority", low=1, high=100, usual=50, whole=True)
        )
        request.delay = number(scope["headers"], b"codewords-delay", low=0, high=MAX_DELAY, usual=0)
        run_id = await runtime(scope).runs.start(request)
        # Once the id is given, the run goes on without the caller.
        connection.answered()

    reply = JsonReply({"request_id": run_id}, headers={"X-Request-Id": run_id})
    await reply(scope, receive, send)


async def pass_on(response: RunResponse, headers: Headers, connection: ClientConnection, send: Send) -> None:
    """Stream a workflow's answer to its caller, with these headers."""
    try:
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        async for chunk in response.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        # Before the last part: a client that hangs up as soon as it has the answer cancels nothing.
        connection.answered()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await response.aclose()


def under_prefix(header: tuple[bytes, bytes], prefix: str, here: str) -> tuple[bytes, bytes]:
    """A redirect within the workflow, led back under its prefix: the workflow knows nothing of it."""
    if header[0] != b"location":
        return header
    target = header[1].decode("latin-1").removeprefix(here)
    # Another host, or a workflow that builds its own full addresses.
    if not target.startswith("/") or target.startswith(("//", f"{prefix}/")):
        return header
    return header[0], (prefix + target).encode("latin-1")


def split(scope: Scope, prefix: str) -> tuple[str, str]:
    """(service id, path as it was sent, percent-encoded, with one first slash). An empty path is "/".

    The path stays encoded: decoding is for the workflow, which alone knows what a `%2F` of its routes means. The
    published TypeScript client sends two first slashes.
    """
    path = _raw_path(scope)
    if not path.startswith(prefix):
        path = quote(scope["path"])
    service_id, _, rest = path[len(prefix) :].partition("/")
    return unquote(service_id), quote(f"/{rest.lstrip('/')}", safe="/%:@!$&'()*+,;=~-._")


def encoded_path(scope: Scope) -> str:
    """The whole path as it was sent, for a workflow on its own origin."""
    return quote(f"/{(_raw_path(scope) or quote(scope['path'])).lstrip('/')}", safe="/%:@!$&'()*+,;=~-._")


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or b""
    return raw.decode("latin-1").partition("?")[0]


def request_for(scope: Scope, connection: ClientConnection, service_id: str, path: str) -> RunRequest:
    """The call as the facade takes it. Raises InvalidInput for an id in a header that is not one."""
    headers = scope["headers"]
    run_id = scope[RUN_ID] = token(headers, b"x-provisioned-request-id")
    return RunRequest(
        service_id=service_id,
        method=scope.get("method", "GET"),
        path=path,
        query=scope["query_string"],
        headers=inward(headers),
        body=connection.chunks(),
        caller=caller(scope),
        request_id=run_id,
        correlation_id=token(headers, b"x-correlation-id"),
        idempotency_key=token(headers, b"idempotency-key"),
        mode="dry_run" if flag(headers, b"codewords-dry-run") else None,
    )
