"""The one error boundary of the HTTP API: each error that a route raises becomes a response here and nowhere else."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_mcp.errors import (
    CodewordsError,
    InsufficientScope,
    InvalidInput,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    TooBusy,
    Unauthenticated,
)
from codewords_mcp.errors.remedies import RemedyAction
from codewords_mcp.http.middleware.auth import PAGES
from codewords_mcp.http.middleware.client_connection import ClientGoneError
from codewords_mcp.http.middleware.headers import first
from codewords_mcp.http.remedies import CONSOLE_WORDS, WORDS
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import CHALLENGE, ERROR_PAGE, REQUEST_ID, RUN_ID, WORKFLOW_LABEL
from codewords_mcp.runtime.model.shortages import shortage

log = structlog.get_logger(__name__)
_METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})
_HANDSHAKES = frozenset({"websocket.accept", "websocket.close"})
_POLICY_VIOLATION, _INTERNAL = 1008, 1011
"""Codes with which a websocket is closed (RFC 6455, 7.4.1)."""
_PROCESS, _NUMBERS = secrets.token_hex(4), itertools.count(1)
"""A request's id: random for each process, counted within it, since random bytes for each cost a call of the kernel."""


class HttpInternalError(CodewordsError):
    """A failure that we did not foresee. `request_id` is the id of its entry in the runtime's log."""

    wire_fields = ("request_id",)

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "The runtime failed on this request through a fault of its own.",
            hint=f"Its log has the reason under {request_id}; trying again is safe.",
        )
        self.request_id = request_id


class ErrorBoundary:
    """The outermost layer: gives the request its id, and turns what was raised into an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request; never raises but for cancellation."""
        if scope["type"] == "lifespan":
            return self.app(scope, receive, send)

        scope[REQUEST_ID] = f"req_{_PROCESS}{next(_NUMBERS):08x}"

        return serve_with_errors(self.app, scope, receive, send, headed=True)


async def serve_with_errors(
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    headed: bool = False,
    on_error: Callable[[CodewordsError], None] | None = None,
) -> None:
    """Serve a request that has its id; what the app raises is sent as an answer. Never raises but for cancellation.

    `headed`: the head of the response names the request's id. `on_error` is called with an error before it is sent.
    """
    request_id: str = scope[REQUEST_ID]
    started = False

    async def sending(message: Message) -> None:
        nonlocal started
        if message["type"] in _STARTS:
            started = True
            if headed:
                message = _with_request_id(message, request_id)
        elif message["type"] in _HANDSHAKES:
            started = True
        await send(message)

    try:
        _refuse_unserved(scope)
        await app(scope, receive, sending)
    except (ClientGoneError, ClientDisconnect):
        # Nobody is left to answer.
        log.debug("client hung up", request_id=request_id)
    except Exception as failure:  # noqa: BLE001  # this is the boundary
        error = explain(failure, request_id, words=_remedy_words(scope))
        if on_error is not None:
            on_error(error)
        if started:
            await _cut_off(scope, send, error)
        else:
            await _answer(scope, receive, sending, error)


def _refuse_unserved(scope: Scope) -> None:
    """Raise MethodNotAllowed for a method that no route takes, also where a workflow would take any."""
    if scope.get("method") in {"TRACE", "CONNECT"}:
        raise MethodNotAllowed(
            "This runtime does not serve this method.", allow=_METHODS, hint=f"Use {' or '.join(_METHODS)}."
        )


def _remedy_words(scope: Scope) -> Mapping[RemedyAction, str]:
    """Remedies as the reader of the answer understands them: routes for a program, plain words in the console."""
    if any(name == b"x-codewords-console" for name, _ in scope["headers"]):
        return CONSOLE_WORDS
    return WORDS


def explain(
    failure: Exception, request_id: str, *, words: Mapping[RemedyAction, str] = WORDS
) -> CodewordsError:
    """The error to tell. What is not ours goes to the log, in full, and to the client only as an id."""
    if isinstance(failure, CodewordsError):
        # Errors carry remedies as data; each front door words them.
        failure.word_remedy(words)
        return failure
    # Only the router raises these.
    if isinstance(failure, HTTPException):
        return _of_router(failure)
    log.error("request failed", request_id=request_id, exc_info=failure)
    # What the machine lacks shows up as an error of any library, and is the operator's to solve.
    return shortage(failure) or HttpInternalError(request_id)


def method_not_allowed(methods: Iterable[str]) -> MethodNotAllowed:
    """The error of a path that takes other methods."""
    allow = sorted(methods)
    return MethodNotAllowed(
        "This route does not take this method.", allow=allow, hint=f"Use {' or '.join(allow)}."
    )


def _of_router(failure: HTTPException) -> CodewordsError:
    if failure.status_code == 404:
        return NotFound("There is no such route.", hint="GET /openapi.json describes the routes.")
    return InvalidInput("The request cannot be read.")


def body_of(error: CodewordsError) -> dict[str, Any]:
    """The wire form. Public clients read `detail`, so that the sentence is there too."""
    return {"error": error.to_dict(), "detail": str(error)}


def reply_of(error: CodewordsError, run_id: str | None = None, challenge: str = "Bearer") -> Response:
    """The error as an HTTP answer, with the headers that belong to it."""
    headers = {"Error-Origin": error.origin}
    known_run = run_id or cast("str | None", getattr(error, "run_id", None))
    if known_run:
        headers["X-Request-Id"] = known_run
    if isinstance(error, TooBusy):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = _challenge(error, challenge)
    if isinstance(error, InsufficientScope) and error.by_token:
        headers["WWW-Authenticate"] = _challenge(error, challenge)
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allow)
    if error.status == 413:
        # The rest of the body is still on its way: only closing the connection stops it.
        headers["Connection"] = "close"

    return JsonReply(body_of(error), error.status, headers)


def _challenge(error: CodewordsError, challenge: str) -> str:
    """RFC 6750: what was wrong with the token, and which scope would do."""
    facts = [challenge.removeprefix("Bearer").strip()]
    if isinstance(error, InsufficientScope):
        facts += ['error="insufficient_scope"', f'scope="{error.scope}"']
    elif isinstance(error, InvalidToken):
        facts.append('error="invalid_token"')
    return f"Bearer {', '.join(fact for fact in facts if fact)}".rstrip()


async def outcome(work: Awaitable[Any], scope: Scope) -> dict[str, Any]:
    """The boundary of a stream whose status is already sent: `{"result"}`, or `{"error", "detail", "status"}`."""
    try:
        return {"result": await work}
    except Exception as failure:  # noqa: BLE001  # this is the boundary
        error = explain(failure, scope[REQUEST_ID], words=_remedy_words(scope))
        return body_of(error) | {"status": error.status}


async def _answer(scope: Scope, receive: Receive, send: Send, error: CodewordsError) -> None:
    page = cast("Callable[[CodewordsError], Response] | None", scope.get(ERROR_PAGE))
    challenge = cast("Callable[[str], str] | None", scope.get(CHALLENGE))
    if challenge:
        www_authenticate = challenge(scope["path"])
    else:
        www_authenticate = "Bearer"

    if page:
        reply = page(error)
        if isinstance(error, MethodNotAllowed):
            reply.headers["Allow"] = ", ".join(error.allow)
    else:
        reply = reply_of(error, scope.get(RUN_ID), www_authenticate)

    on_runtime = scope.get(WORKFLOW_LABEL) is None
    if page is None and on_runtime and isinstance(error, Unauthenticated) and scope["path"] in PAGES:
        # A header of its own: browsers take a list of challenges in one header for a single one.
        reply.headers.append("WWW-Authenticate", 'Basic realm="codewords: the key as password"')

    if scope["type"] == "http":
        await reply(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await _refuse_websocket(reply, send)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.code})


async def _refuse_websocket(reply: Response, send: Send) -> None:
    """Answer the handshake with the error as plain HTTP."""
    start: Message = {
        "type": "websocket.http.response.start", "status": reply.status_code, "headers": reply.raw_headers,
    }  # fmt: skip
    await send(start)
    await send({"type": "websocket.http.response.body", "body": bytes(reply.body), "more_body": False})


async def _cut_off(scope: Scope, send: Send, error: CodewordsError) -> None:
    """After the start of an answer only its end can tell: the server drops a connection whose answer is not whole."""
    log.warning("answer cut off", request_id=scope[REQUEST_ID], code=error.code, reason=error.message)
    if scope["type"] == "websocket":
        code = _POLICY_VIOLATION if isinstance(error, Unauthenticated) else _INTERNAL
        await send({"type": "websocket.close", "code": code, "reason": error.code})


def _with_request_id(message: Message, request_id: str) -> Message:
    headers = message.get("headers", [])
    if first(headers, b"x-request-id") is not None:
        return message
    return {**message, "headers": [*headers, (b"x-request-id", request_id.encode())]}
