"""The local address of served files: an ASGI application that passes requests on to the runtime.

It adds the key, so that curl, a browser and tests need none. So it answers only who reaches it by a name of this machine,
and no page of another site.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from codewords_mcp.cli._client import Json, RemoteError
from codewords_mcp.cli.dev.connection import Headers, RuntimeConnection
from codewords_mcp.cli.dev.events import AnsweredRequest, Events
from codewords_mcp.cli.dev.peers import is_own_user
from codewords_mcp.cli.dev.served_file import ServedFile
from codewords_mcp.errors import CodewordsError, NotFound, RuntimeUnavailable

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"proxy-connection", b"te", b"trailer"}
)
# The client here adds the key and asks for encodings that it can decode; a body is sent with its length.
_NOT_SENT: Final = _HOP | {b"host", b"authorization", b"content-length", b"accept-encoding", b"expect"}
# Bodies are passed on decoded, so their length and encoding at the runtime are wrong for the answer here.
_NOT_RETURNED: Final = _HOP | {b"date", b"server", b"content-length", b"content-encoding"}
_SANDBOXED: Final = (b"content-security-policy", b"sandbox")
"""The runtime's own, for pages of workflows on its origin. Here a workflow has an origin of its own."""


class LocalProxy:
    """Serves one file at `/`, or several below their names. `watch_run(run_id, file)` shows the log of a run that begins.

    `dry_run`: writes of all runs are held.
    """

    def __init__(
        self,
        files: Callable[[], Sequence[ServedFile]],
        runtime: RuntimeConnection,
        events: Events,
        watch_run: Callable[[str, ServedFile], asyncio.Task[None]],
        *,
        single: bool,
        dry_run: bool,
    ) -> None:
        self._files = files
        self.runtime = runtime
        self.events = events
        self.watch_run = watch_run
        self._single = single
        self.dry_run = dry_run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or websocket."""
        if scope["type"] == "websocket":
            from codewords_mcp.cli.dev.websockets import pass_websocket

            refusal = foreign(scope["headers"], websocket=True) or await _other_user(scope)
            found = None if refusal else self.find(_path(scope))
            await pass_websocket(scope, receive, send, found, self.runtime.endpoint)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    def find(self, path: str) -> tuple[ServedFile, str] | None:
        """The file that serves a path, and the path within it."""
        for file in self._files():
            # Programs that know their root, as FastAPI's own docs, make links below it.
            for prefix in (f"/run/{file.draft_id}", f"/{file.name.removesuffix('.py')}"):
                if file.draft_id and path.startswith((f"{prefix}/", f"{prefix}?")):
                    return file, path[len(prefix) :]
                if path == prefix:
                    return file, "/"
        if self._single:
            return self._files()[0], path
        return None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if why := foreign(scope["headers"]) or await _other_user(scope):
            await _answer(send, 403, {"code": "forbidden", "message": why})
            return
        found = self.find(_path(scope))
        if found is None:
            names = [f"/{file.name.removesuffix('.py')}/" for file in self._files()]
            error = {"code": "not_found", "message": "No workflow is served here.", "workflows": names}
            await _answer(send, 404, error)
            return

        file, path = found
        body = await _whole(receive)
        if body is None:
            return
        call = _ProxiedCall(self, scope, file, path, body)
        passing = asyncio.create_task(call.pass_on(send))
        hang_up = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait({passing, hang_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Leaving the call early hangs up at the runtime, which cancels the run.
            for task in (passing, hang_up):
                task.cancel()
            await asyncio.gather(passing, hang_up, return_exceptions=True)

    async def begin_run(self, file: ServedFile) -> str:
        """Make the id of a run before it starts, so that its log is shown while it runs. Finds a lost runtime again."""
        lost = self.runtime.endpoint
        try:
            made = await self.runtime.call("POST", "/provision-request")
        except RuntimeUnavailable:
            # Nothing of the request has been sent yet.
            if self.runtime.endpoint is lost:
                await self.runtime.find_again()
            self.events.say(
                "runtime", f"The runtime was started again: {self.runtime.endpoint.url}", "yellow"
            )
            await file.serve_again()
            if file.problem is not None:
                raise file.problem from None
            made = await self.runtime.call("POST", "/provision-request")
        return str(made["request_id"])


class _ProxiedCall:
    """One request on its way to the runtime and back."""

    def __init__(self, proxy: LocalProxy, scope: Scope, file: ServedFile, path: str, body: bytes) -> None:
        self._proxy = proxy
        self._scope = scope
        self._file = file
        self._path = path
        self._body = body
        self._started = time.perf_counter()
        self._run_id = ""
        self._answering = False

    async def pass_on(self, send: Send) -> None:
        """Serve the file as it is now, pass the request on, and tell of it."""
        status = 0
        try:
            await self._file.refresh()
            if self._file.problem is not None:
                raise self._file.problem
            status = await self._pass(send) or await self._again(send)
        except CodewordsError as error:
            # An answer that has begun can't be replaced by an error; its connection breaks off instead.
            if not self._answering:
                status = await self._refuse(error, send)
        finally:
            if status:
                ms = (time.perf_counter() - self._started) * 1000
                method = str(self._scope["method"])
                self._proxy.events.answered(
                    AnsweredRequest(self._file.name, method, self._path, status, ms, self._run_id)
                )

    async def _again(self, send: Send) -> int:
        """Repeat a request that came to no run: the runtime did not serve the draft any more."""
        await self._file.serve_again()
        if self._file.problem is not None:
            raise self._file.problem
        status = await self._pass(send)
        if not status:
            raise NotFound("The runtime does not serve this file.", hint="Save it again.")
        return status

    async def _pass(self, send: Send) -> int:
        """Pass the request on. Returns the status of the answer, 0 where the draft is not served."""
        headers = await self._headers()
        if self._run_id:
            watching = self._proxy.watch_run(self._run_id, self._file)
        else:
            watching = None
        query = self._scope["query_string"].decode("latin-1")
        target = f"/run/{self._file.draft_id}{self._path}" + (f"?{query}" if query else "")
        method = str(self._scope["method"])

        stream = self._proxy.runtime.stream(method, target, content=self._body, headers=headers)
        async with stream as response:
            if response.status_code == 404 and response.headers.get("error-origin") == "platform":
                # Its id was not used: no log of it will end.
                if watching is not None:
                    watching.cancel()
                return 0
            self._run_id = response.headers.get("x-request-id") or self._run_id
            await self._start(response.status_code, response.headers.raw, send)
            async for piece in response.aiter_bytes():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return int(response.status_code)

    async def _headers(self) -> Headers:
        headers = [pair for pair in self._scope["headers"] if pair[0] not in _NOT_SENT]
        if self._body:
            headers.append((b"content-length", str(len(self._body)).encode()))
        names = {name for name, _ in headers}
        if self._proxy.dry_run and b"codewords-dry-run" not in names:
            headers.append((b"codewords-dry-run", b"yes"))
        # A caller's own id counts. With an idempotency key an earlier run may answer instead of a new one.
        if names.isdisjoint({b"x-provisioned-request-id", b"idempotency-key"}):
            self._run_id = await self._proxy.begin_run(self._file)
            headers.append((b"x-provisioned-request-id", self._run_id.encode()))
        return headers

    async def _start(self, status: int, raw: Headers, send: Send) -> None:
        self._answering = True
        headers = [self._returned(pair) for pair in _lower(raw) if pair[0] not in _NOT_RETURNED]
        headers = [pair for pair in headers if pair != _SANDBOXED]
        await send({"type": "http.response.start", "status": status, "headers": headers})

    def _returned(self, header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """A header of an answer; redirects lead back to this address."""
        name, value = header
        root = f"/run/{self._file.draft_id}".encode()
        if name != b"location" or root not in value:
            return header
        return name, value.partition(root)[2] or b"/"

    async def _refuse(self, error: CodewordsError, send: Send) -> int:
        """Answer with an error of ours. A file that cannot be served answers 500, whatever is wrong with it."""
        body: Json = {"error": error.to_dict() | {"file": self._file.name}}
        if isinstance(error, RemoteError):
            body = {"error": {"code": error.code, "message": error.message, **error.details()}}
            body["error"] |= {"hint": error.hint, "file": self._file.name}
        status = 502 if isinstance(error, RuntimeUnavailable) else 500
        self._run_id = ""
        with suppress(OSError):
            await _answer(send, status, body["error"])
        return status


def foreign(headers: Headers, *, websocket: bool = False) -> str:
    """The reason why a request is not answered, "" for one of this machine's own.

    A page of another site could otherwise run workflows: its browser reaches this address, also by a name that
    its own DNS gives.
    """
    values = dict(headers)
    if _host(b"//" + values.get(b"host", b"")) not in LOOPBACK:
        return "This address answers by the names localhost and 127.0.0.1 only."
    origin = values.get(b"origin")
    if origin is not None and _host(origin) not in LOOPBACK:
        return "This address answers no page of another site."
    # Images and scripts are fetched for a page of another site without an Origin. So is a link that a person
    # follows, which may lead here.
    crossing = values.get(b"sec-fetch-site") == b"cross-site" and origin is None
    if crossing and (websocket or values.get(b"sec-fetch-mode") != b"navigate"):
        return "This address answers no page of another site."
    return ""


async def _other_user(scope: Scope) -> str:
    if await asyncio.to_thread(is_own_user, scope.get("client"), scope.get("server")):
        return ""
    return "This address answers programs of the user who serves it."


def _host(address: bytes) -> str:
    try:
        return urlsplit(address.decode("latin-1")).hostname or ""
    except ValueError:
        return ""


def _path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1").partition("?")[0]


def _lower(headers: Headers) -> Headers:
    return [(name.lower(), value) for name, value in headers]


async def _whole(receive: Receive) -> bytes | None:
    """The whole body, so that it can be sent again; None where the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Send, status: int, error: Json) -> None:
    body = json.dumps({"error": error}, ensure_ascii=False).encode() + b"\n"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
