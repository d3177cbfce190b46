"""The internal listener: answers what sandboxes send to CODEWORDS_RUNTIME_URI.

The egress accepts a connection of a sandbox and hands it over, so that each request is known to come from that sandbox. A
request needs the key of the run that the sandbox serves. Routes are an allow-list; pages, `/mcp` and administration are not
on it. No request of a sandbox reaches the public listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from codewords_mcp.errors import AttemptOver, Forbidden, NotFound, Unauthenticated, WrongHost
from codewords_mcp.http.middleware.auth import GEMINI_PATHS, TICKET, find_key
from codewords_mcp.http.middleware.hosts import host_name
from codewords_mcp.http.middleware.protocol import WEBSOCKET, BoundedProtocol
from codewords_mcp.http.middleware.recorded_calls import serve_recorded
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.paths import SANDBOX_MCP_PATHS
from codewords_mcp.http.routes.debugger import BRIDGE_PATH
from codewords_mcp.http.routes.gateway import provider_of, simple_of
from codewords_mcp.http.routes.services import firecrawls
from codewords_mcp.http.routes.websockets import realtime_rule
from codewords_mcp.http.state import CALLER, LISTENER, SANDBOX
from codewords_mcp.runtime.auth.access_table import HTTP
from codewords_mcp.runtime.model.caller import Caller

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime
    from codewords_mcp.runtime.auth.sandbox_access import SandboxAccess

ROUTES: Final = frozenset(
    (method, path)
    for method, _, path in (
        rule.name.partition(" ") for rule in HTTP if rule.kind == "http" and rule.in_sandbox
    )
    if method != "*" and not path.startswith("/run/")
)
"""Operations that a sandbox may call beside workflows, services, models and the MCP of `SubAgent`: (method, path)."""

_KEEP_ALIVE_TIMEOUT = 75
_HOT = frozenset({"run", "run_async"})
# First byte of a client that speaks TLS (RFC 8446, 5.1).
_TLS_HANDSHAKE = b"\x16"
_FILE, _WEBHOOK = "/file/", "/webhook/"


def sandbox_operations(operations: tuple[HttpOperation, ...]) -> list[HttpOperation]:
    """The operations of `ROUTES`."""
    return [operation for operation in operations if (operation.method, operation.path) in ROUTES]


class SandboxGuard:
    """Lets a request of a sandbox pass that has the key of its run and asks an allowed route."""

    def __init__(self, app: ASGIApp, runtime: Runtime, operations: list[HttpOperation]) -> None:
        self.app = app
        self._runtime = runtime
        self._access: SandboxAccess = runtime.sandbox_access
        self._routes = [
            Route(operation.path, _not_served, methods=[operation.method]) for operation in operations
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Unauthenticated, Forbidden, WrongHost."""
        sandbox_id: str = scope["state"][SANDBOX]
        # Set first: every error from here on is judged as one of a sandbox.
        scope[LISTENER] = "sandbox"
        scope[CALLER] = caller = self._caller(scope, sandbox_id)
        # Before anything is awaited: the run may end meanwhile.
        session = self._runtime.recorders.of(caller.run_id)
        _check_host(scope)
        await self._check_route(scope, caller)
        if session is None:
            await self._serve(scope, receive, send)
        else:
            # A recorder that answers does so first: files of a recording need not exist here.
            await serve_recorded(self._serve, session, scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that no recorder has answered.

        Raises AttemptOver where its run has left the sandbox meanwhile, NotFound for the link of another owner's file.
        """
        # While the recorder put the request on record. The answer would be on record, too, and false.
        if not self._access.serves(scope["state"][SANDBOX], scope[CALLER].run_id):
            raise AttemptOver
        if token := _file_token(scope):
            await self._check_file(scope[CALLER], token)
        await self.app(scope, receive, send)

    def _caller(self, scope: Scope, sandbox_id: str) -> Caller:
        """The run that asks: by its key, or by one of the two links that published clients follow without a key."""
        path: str = scope["path"]
        if _file_token(scope):
            return self._caller_of_sandbox(sandbox_id)
        # Google's SDK sends the second part of an upload without its key.
        if TICKET in scope["query_string"] and path.startswith(GEMINI_PATHS):
            return self._caller_by_ticket(sandbox_id, path, scope["query_string"])
        key = find_key(scope["headers"], path, scope["query_string"])
        return self._access.authenticate(sandbox_id, key)

    def _caller_of_sandbox(self, sandbox_id: str) -> Caller:
        run = self._access.run_of(sandbox_id)
        if run is None:
            raise Unauthenticated("The run of this sandbox has ended.")
        return run

    async def _check_file(self, run: Caller, token: str) -> None:
        if not await self._access.may_use_file(run, token):
            raise NotFound(
                "This link leads to no file of the run's owner.",
                hint="A workflow reads files of the person it runs for; pass the content in the input instead.",
            )

    def _caller_by_ticket(self, sandbox_id: str, path: str, query: bytes) -> Caller:
        caller = self._runtime.models.upload_caller(path, query)
        if not self._access.serves(sandbox_id, caller.run_id):
            raise Unauthenticated(
                "This upload was begun by another run.", hint="Begin it again, in this run."
            )
        return caller

    async def _check_route(self, scope: Scope, run: Caller) -> None:
        path: str = scope["path"]
        if not self._is_allowed(scope, path):
            raise Forbidden(
                "A running workflow may not use this route of the runtime.",
                hint="It may call workflows, services and models, and use its own files and logs. Do anything else with a "
                "person's key, outside of the workflow.",
            )
        # After the key: an unknown sandbox must not find out which addresses exist.
        if path.startswith(_WEBHOOK) and not await self._access.may_post_webhook(run, path[len(_WEBHOOK) :]):
            raise NotFound(
                "There is no webhook of this workflow at this address.",
                hint="A workflow may post to its own webhooks only; call another workflow by its id.",
            )

    def _is_allowed(self, scope: Scope, path: str) -> bool:
        if path in SANDBOX_MCP_PATHS:
            return True

        first, _, rest = path[1:].partition("/")
        if scope["type"] == "websocket":
            return (first == "run" and bool(rest)) or path == BRIDGE_PATH or realtime_rule(path) is not None
        if (first in _HOT and rest) or provider_of(path) or simple_of(path) or firecrawls(path):
            return True

        # As the public router does, so that a program sees no difference.
        if path.endswith("/"):
            bare = {**scope, "path": path[:-1]}
        else:
            bare = scope

        return any(route.matches(bare)[0] is not Match.NONE for route in self._routes)


def _file_token(scope: Scope) -> str:
    """The token of a request by the link of a file; "" for other requests."""
    path: str = scope["path"]
    if scope["type"] == "http" and path.startswith(_FILE):
        return path[len(_FILE) :]
    return ""


class SandboxServer:
    """Serves accepted connections of sandboxes with an app; see `SandboxListener`."""

    def __init__(self, app: ASGIApp) -> None:
        self._config = uvicorn.Config(
            app, http=BoundedProtocol, ws=WEBSOCKET, loop="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, timeout_keep_alive=_KEEP_ALIVE_TIMEOUT,
        )  # fmt: skip
        self._state = ServerState()
        self._open: dict[str, dict[asyncio.Future[None], asyncio.Transport | None]] = {}
        """The ends of connections, each with its transport; None until the connection's first byte has come."""

    async def serve(
        self,
        sandbox_id: str,
        connection: socket.socket,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """See `SandboxListener`."""
        if not self._config.loaded:
            self._config.load()
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        opened = self._open.setdefault(sandbox_id, {})
        opened[ended] = None
        try:
            # `connect_accepted_socket` doesn't close the socket if it is cancelled.
            with contextlib.closing(connection):
                context = tls() if tls is not None and await _begins_tls(connection, ended) else None
                if not ended.done():
                    await self._serve(sandbox_id, connection, context, ended)
        finally:
            del opened[ended]
            # Another connection may have made a new dict meanwhile.
            if not opened and self._open.get(sandbox_id) is opened:
                del self._open[sandbox_id]

    async def _serve(
        self,
        sandbox_id: str,
        connection: socket.socket,
        context: ssl.SSLContext | None,
        ended: asyncio.Future[None],
    ) -> None:
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            partial(SandboxProtocol, self._config, self._state, {SANDBOX: sandbox_id}, ended),
            connection,
            ssl=context,
            ssl_handshake_timeout=None if context is None else SandboxProtocol.head_timeout,
        )
        if ended.done() and not transport.is_closing():
            transport.abort()
        self._open[sandbox_id][ended] = transport
        try:
            await ended
        finally:
            _abort(transport, ended)

    def close_connections(self, sandbox_id: str) -> None:
        """See `SandboxListener`."""
        for ended, transport in list(self._open.get(sandbox_id, {}).items()):
            if transport is None:
                _settle(ended)
            else:
                _abort(transport, ended)


async def _begins_tls(connection: socket.socket, ended: asyncio.Future[None]) -> bool:
    """Whether a client's first byte is that of a TLS handshake. The byte stays unread.

    False too where none comes in time, or `ended` is set first.
    """
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(connection, _settle, readable)
    try:
        await asyncio.wait(
            {readable, ended}, timeout=SandboxProtocol.head_timeout, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        loop.remove_reader(connection)
    return readable.done() and connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE


class SandboxProtocol(BoundedProtocol):
    """A connection of a sandbox. Its listener bounds how many there are, so that it pushes out no connection of others."""

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        app_state: dict[str, Any],
        ended: asyncio.Future[None],
    ) -> None:
        super().__init__(config, state, app_state)
        self._ended = ended
        # uvicorn hands an upgraded connection to another protocol, whose end must end `serve`
        # too.
        self.ws_protocol_class = partial(WEBSOCKET, ended=ended)  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        super().connection_lost(exc)
        _settle(self._ended)

    def _wait(self) -> None:
        pass


def _abort(transport: asyncio.Transport, ended: asyncio.Future[None]) -> None:
    # One whose connection is lost can't be aborted in plain asyncio; `serve` that is cancelled has cancelled `ended`.
    if ended.cancelled() or not ended.done():
        transport.abort()


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def _check_host(scope: Scope) -> None:
    """Addresses in answers are made from the Host of the request, so it has to be one."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or host_name(hosts[0].decode("latin-1").lower()) is None:
        raise WrongHost(
            "The Host of this request is not a name.", hint="Ask the address in CODEWORDS_RUNTIME_URI."
        )


async def _not_served(_request: Any) -> None:
    """Routes of the guard are matched, never served."""
