"""Calls of model providers, as their SDKs make them, on bare ASGI; and errors as those SDKs read them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.errors import CodewordsError, MethodNotAllowed
from codewords_mcp.http.middleware.client_connection import ClientConnection, hang_ups_of
from codewords_mcp.http.middleware.headers import content_length, first
from codewords_mcp.http.middleware.provider_errors import dialect_of, provider_reply
from codewords_mcp.http.middleware.response_transport import RESPONSE, ResponseTransport
from codewords_mcp.http.operations import HttpOperation, items_of
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import ERROR_PAGE, app_state, caller, own_url, runtime
from codewords_mcp.runtime.auth.access import Rule
from codewords_mcp.runtime.auth.access_table import TABLE
from codewords_mcp.runtime.model.provider import (
    OWN_PROVIDERS,
    GatewayResponse,
    Provider,
    ProviderRequest,
    PushedBody,
)
from codewords_mcp.runtime.model.provider_info import ProviderInfo

PROVIDERS = OWN_PROVIDERS
NAMED_MOUNT = "providers"
"""First part of the paths of named providers."""
STALLED = 300.0
"""Seconds that a client may leave a piece of its answer unread."""
_REPEATS = b"x-stainless-retry-count"
"""OpenAI's and Anthropic's SDKs repeat calls by themselves, and say how often they did."""
_UPLOADS = ("/files", "/uploads", "/upload/")

_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "model": {"type": "string"}, "prompt": {"type": "string"}, "example_output": {}, "system": {"type": "string"},
        "images": {"type": "array", "items": {"type": "string"}}, "temperature": {"type": "number"},
        "max_tokens": {"type": "integer"},
    },
    "required": ["model", "prompt"],
}  # fmt: skip
_ANSWER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "response": {}, "model": {"type": "string"}, "usage": {"type": "object"}, "cost": {"type": ["number", "null"]},
        "instead_of": {"type": "string", "description": "The model that was asked for and could not be had."},
    },
    "required": ["response", "model", "usage", "cost"],
}  # fmt: skip

_PASSING = [
    HttpOperation(
        "*", path, f"Call {title} as its own SDK does",
        tag="providers", media="*/*", body={}, body_media="*/*",
        description="Status, headers and body are the provider's own, streamed as they come. The key is a CodeWords key, "
        "in the header in which the SDK sends one; the provider's key stays in the runtime. Errors of the gateway have the "
        "provider's shape and `Error-Origin: platform`.",
    )
    for path, title in (
        ("/openai/{path}", "OpenAI"),
        ("/run/openai/v1/{path}", "OpenAI"),
        ("/anthropic/{path}", "Anthropic"),
        ("/run/anthropic/{path}", "Anthropic"),
        ("/gemini/{path}", "Gemini"),
        ("/run/gemini/v1/{path}", "Gemini, in its OpenAI-compatible form,"),
        ("/providers/{name}/{path}", "a named provider"),
    )
]  # fmt: skip
_SIMPLE = [
    HttpOperation(
        "POST", f"/run/{name}/", f"Ask {name} one prompt", tag="models",
        description="`example_output` is a JSON Schema or an example of the answer; `images` are https or data URLs. The "
        "model `echo` asks nobody and says so. `cost` is in USD, null for a model without a price.",
        body=_FORM, reply=_ANSWER,
    )
    for name in PROVIDERS
]  # fmt: skip


# Paths of SDKs are few, and each is looked at several times in a call.
@lru_cache(maxsize=1024)
def provider_of(path: str) -> tuple[Provider, bool, str] | None:
    """(provider, whether it is mounted under /run, what follows) of a pass-through path; None for every other."""
    _, first, rest = (*path.split("/", 2), "", "")[:3]
    run_mount = first == "run"
    if run_mount:
        first, _, rest = rest.partition("/")
    elif first == NAMED_MOUNT:
        first, _, rest = rest.partition("/")
        if not first or not rest.strip("/"):
            return None
        return first, False, f"/{rest.lstrip('/')}"
    if first not in PROVIDERS or not rest.strip("/"):
        return None
    return first, run_mount, f"/{rest.lstrip('/')}"


@lru_cache(maxsize=1024)
def provider_rule(provider: Provider, run_mount: bool) -> Rule:
    """Find the access rule of a provider's mount."""
    if provider not in PROVIDERS:
        mount = f"/{NAMED_MOUNT}/{{name}}/"
    elif not run_mount:
        mount = f"/{provider}/"
    elif provider == "anthropic":
        mount = "/run/anthropic/"
    else:
        mount = f"/run/{provider}/v1/"
    return TABLE.get("http", f"* {mount}{{path}}")


def simple_of(path: str) -> Provider | None:
    """The provider of a simple form's path, `/run/openai` with or without a slash; None for every other."""
    name = path.strip("/").removeprefix("run/")
    if path.startswith("/run/") and name in PROVIDERS:
        return name
    return None


class ProviderErrors:
    """Renders errors on a provider's path in the shape of that provider."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        if scope["type"] == "http" and (found := provider_of(scope["path"])):
            dialect = dialect_of(*found)

            def page(error: CodewordsError) -> Response:
                return provider_reply(dialect, error)

            scope[ERROR_PAGE] = page
        return self.app(scope, receive, send)


async def serve_provider(scope: Scope, receive: Receive, send: Send) -> None:
    """A call that passes through. A client that hangs up half-way ends it at the provider too."""
    state, headers = app_state(scope), scope["headers"]
    settings = state.settings
    request = _request(scope)
    uploads = request.path.startswith(_UPLOADS) or "/files/" in request.path or "/uploads/" in request.path
    limit, setting = (
        (settings.max_file, "CODEWORDS_MAX_FILE") if uploads else (settings.max_body, "CODEWORDS_MAX_BODY")
    )

    async with ClientConnection(
        receive, headers, limit=limit, setting=setting, body_first=True, hang_ups=hang_ups_of(scope)
    ) as connection:
        request.content = connection.whole()
        request.body = connection.chunks() if request.content is None else _pieces(request.content)
        reply = await state.runtime.models.call(request)
        await pass_on(reply, connection, send, scope.get("state", {}).get(RESPONSE))


async def list_providers(request: Request) -> Response:
    """List the model providers."""
    found = await runtime(request.scope).models.providers(caller(request.scope))
    return JsonReply({"items": found})


async def serve_simple(scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /run/openai`: one prompt, one answer."""
    provider = simple_of(scope["path"])
    assert provider is not None  # noqa: S101  # only such paths are dispatched here
    if scope["method"] != "POST":
        raise MethodNotAllowed(
            "The simple form takes POST.", allow=["POST"], hint="Send {model, prompt} as JSON."
        )

    async with ClientConnection(
        receive, scope["headers"], limit=app_state(scope).settings.max_body
    ) as connection:
        body = b"".join([chunk async for chunk in connection.chunks()])
        answer = await runtime(scope).models.prompt(caller(scope), provider, body)
        connection.answered()

    await JsonReply(answer)(scope, receive, send)


async def pass_on(
    reply: GatewayResponse,
    connection: ClientConnection,
    send: Send,
    response: ResponseTransport | None = None,
) -> None:
    """Piece by piece. The last piece of an answer whose length is known ends it: one event less for each call.

    A client that stops reading for `STALLED` seconds has hung up, which ends the provider's call too. `response` is where
    pieces are written past the layers around the route, where the server is ours.
    """
    try:
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        if response is not None and isinstance(reply.body, PushedBody):
            last = await reply.body.push(_Sink(connection, send, response))
        else:
            # -1 never reaches 0, so a response of unknown length is ended by a message of its own.
            last, left = b"", content_length(reply.headers) or -1
            async for piece in reply.body:
                left -= len(piece)
                if left:
                    await connection.send(send, _body(piece, more=True), STALLED)
                else:
                    last = piece

        connection.answered()
        if response is not None and response.has_room:
            response.end(last)
        else:
            await connection.send(send, _body(last, more=False), STALLED)
    finally:
        await reply.aclose()


def _body(piece: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": piece, "more_body": more}


class _Sink:
    """The response of one request, as a `PieceSink`."""

    def __init__(self, connection: ClientConnection, send: Send, response: ResponseTransport) -> None:
        self._connection = connection
        self._send = send
        self.write = response.write_piece

    async def drain(self) -> None:
        """See `PieceSink`."""
        await self._connection.send(self._send, _body(b"", more=True), STALLED)


def _request(scope: Scope) -> ProviderRequest:
    # The path goes on as it was sent: decoding it would change a model's name with a slash.
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = raw.decode("latin-1")
    found = provider_of(path.partition("?")[0]) or provider_of(quote(scope["path"]))
    assert found is not None  # noqa: S101  # only such paths are dispatched here
    provider, run_mount, path = found
    headers = scope["headers"]

    if run_mount:
        mount = f"/run/{provider}"
    else:
        mount = f"/{provider}"

    return ProviderRequest(
        provider=provider,
        method=scope["method"],
        path=path,
        query=scope["query_string"],
        headers=headers,
        body=_pieces(),
        caller=caller(scope),
        run_mount=run_mount,
        here=own_url(scope) + mount if provider == "gemini" else "",
        length=content_length(headers),
        # An SDK that repeats by itself should get an overload at once and not wait here too.
        may_wait=first(headers, _REPEATS) is None,
        named=provider not in PROVIDERS,
    )


async def _pieces(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


OPERATIONS = [
    *_PASSING,
    *_SIMPLE,
    HttpOperation(
        "GET",
        "/providers",
        "List model providers",
        list_providers,
        tag="models",
        reply=items_of(ProviderInfo),
    ),
]
