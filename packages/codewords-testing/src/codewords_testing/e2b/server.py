"""The loopback E2B as one thing: opened, pointed at, closed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from codewords_testing.e2b import builds, certificates, control
from codewords_testing.e2b.cloud import Cloud
from codewords_testing.e2b.edge import INNER, Edge
from codewords_testing.e2b.envd import connect, files, process
from codewords_testing.e2b.errors import MachineFailed
from codewords_testing.e2b.faults import Dropped, Fault, Faults
from codewords_testing.e2b.internet import Internet
from codewords_testing.e2b.machine import Layers, Machine
from codewords_testing.e2b.state import CloudTemplate, Options, new_id
from codewords_testing.fidelity.asgi import ReportedReply

_KEY = "e2b_" + "0" * 40
_STARTED = 10.0
_HOST = "127.0.0.1"


async def _healthy(_: Request, __: Any) -> Response:
    return Response(status_code=204)


_ENVD: dict[tuple[str, str], connect.Handler] = {
    ("GET", "/health"): _healthy,
    ("GET", "/files"): files.read,
    ("POST", "/files"): files.write,
    **{
        ("POST", f"/process.Process/{name}"): handler
        for name, handler in {
            "Start": connect.stream(process.start),
            "Connect": connect.stream(process.connect),
            "List": connect.unary(process.listing),
            "SendSignal": connect.unary(process.send_signal),
            "SendInput": connect.unary(process.send_input),
            "CloseStdin": connect.unary(process.close_stdin),
            "StreamInput": connect.streamed_in(process.stream_input),
        }.items()
    },
    **{
        ("POST", f"/filesystem.Filesystem/{name}"): connect.unary(call)
        for name, call in {
            "Stat": files.stat,
            "MakeDir": files.make_dir,
            "ListDir": files.list_dir,
            "Remove": files.remove,
            "Move": files.move,
        }.items()
    },
}
# Links to files carry a signature in place of the token.
_OPEN = {"/health", "/files"}
_UNAUTHORIZED = "unauthorized access, please provide a valid access token or method signing if supported"


class _Application:
    """The API, and envd of every sandbox, told apart by what the edge says a request is for."""

    def __init__(self, api: ASGIApp, cloud: Cloud) -> None:
        self._api = api
        self._cloud = cloud

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return

        request = Request(scope, receive, send)
        target = request.headers.get(INNER, "api")
        # A request that has arrived is served to its end, even if its client does not wait for that.
        if target == "api":
            receive = _whole(await request.body(), receive)
            request = Request(scope, receive)

        who = "api" if target == "api" else "envd"
        try:
            kill = partial(self._kill, request, target)
            fault = await self._cloud.faults.apply(f"{who} {request.method} {request.url.path}", kill)
            await self._answer(request, send, target, fault)
        except (Dropped, ConnectionError):
            # uvicorn closes a connection whose answer is left unfinished.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
            return

        if fault is not None and fault.kill == "after":
            self._kill(request, target)

    def _kill(self, request: Request, target: str) -> None:
        # A request to envd is for one sandbox, and others name theirs in the path; one that makes a
        # sandbox means the newest.
        parts = [part for part in request.url.path.split("/") if part in self._cloud.sandboxes]
        for machine in (
            [target] if target in self._cloud.sandboxes else parts or list(self._cloud.sandboxes)[-1:]
        ):
            self._cloud.kill_soon(machine)

    async def _answer(self, request: Request, send: Send, target: str, fault: Fault | None) -> None:
        if fault is not None and fault.status:
            response = JSONResponse(fault.body, fault.status, headers=fault.headers)
            await response(request.scope, request.receive, send)
            return

        reply = ReportedReply("e2b" if target == "api" else "envd", request, send)
        try:
            answer = self._api if target == "api" else await self._envd(request, target)
            await answer(request.scope, request.receive, reply.send)
        finally:
            reply.close()

    async def _envd(self, request: Request, target: str) -> ASGIApp:
        sandbox = self._cloud.sandboxes[target]
        request.scope["app"] = self._api
        handler = _ENVD.get((request.method, request.url.path))
        if handler is None:
            return JSONResponse({"code": "unimplemented", "message": "not found"}, 404)
        if request.url.path not in _OPEN and request.headers.get("x-access-token") != sandbox.token:
            return JSONResponse({"code": "unauthenticated", "message": _UNAUTHORIZED}, 401)
        return await handler(request, sandbox)


def _whole(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then what comes after it."""
    unread = [body]

    async def again() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return again


class _Server(uvicorn.Server):
    """Leaves this process's signals alone, and says when it is up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@dataclass(slots=True)
class LoopbackE2B:
    """A running loopback E2B. Make it with `loopback_e2b`.

    `api_url` and `sandbox_url` are for SDK options of these names; `proxy_url` is a forward proxy that has every name of
    `domain` (and of no other) behind it, over TLS, with certificates that `ca` (a PEM file) vouches for.
    """

    cloud: Cloud
    api_url: str
    sandbox_url: str
    proxy_url: str
    ca: Path
    api_key: str
    domain: str

    @property
    def faults(self) -> Faults:
        """Errors on demand, and the record of requests."""
        return self.cloud.faults

    @property
    def options(self) -> dict[str, str]:
        """Keyword arguments of every SDK call, by plain URLs."""
        return {
            "api_key": self.api_key,
            "api_url": self.api_url,
            "sandbox_url": self.sandbox_url,
            "domain": self.domain,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point an SDK here."""
        return {
            "E2B_API_KEY": self.api_key,
            "E2B_API_URL": self.api_url,
            "E2B_SANDBOX_URL": self.sandbox_url,
            "E2B_DOMAIN": self.domain,
        }

    def add_template(self, name: str, **what: Any) -> CloudTemplate:
        """A template without a build; fields as those of `CloudTemplate`."""
        return self.cloud.templates.add(CloudTemplate(new_id("t"), [name], **what))


async def unavailable() -> str:
    """Reason that this host cannot have machines; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "the loopback E2B needs Linux"

    folder = Path(tempfile.mkdtemp(prefix="e2b-"))
    try:
        await (await Machine.boot(folder / "probe", Layers(), network=False)).destroy()
    except MachineFailed as error:
        return f"the loopback E2B cannot make machines here: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)

    return ""


@contextlib.asynccontextmanager
async def loopback_e2b(
    options: Options | None = None, internet: Internet | None = None
) -> AsyncGenerator[LoopbackE2B]:
    """Serve on free ports of 127.0.0.1 until the end of the block. Every sandbox ends with it."""
    options = options or Options()
    folder = Path(tempfile.mkdtemp(prefix="e2b-"))

    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        cloud = Cloud(folder, options, internet or Internet())
        stack.push_async_callback(cloud.close)
        ca, tls = certificates.make(folder, options.domain)
        api = Starlette(routes=[*control.ROUTES, *builds.ROUTES])
        api.state.cloud = cloud
        socket_path = folder / "application"
        api_port = await _serve(stack, _Application(api, cloud), socket_path)
        edge = Edge(cloud, socket_path, tls)
        server = await asyncio.start_server(edge.handle, _HOST, 0, limit=64 << 10)
        stack.push_async_callback(_close, server, edge)
        port = server.sockets[0].getsockname()[1]
        api_url = f"http://{_HOST}:{api_port}"
        api.state.builds = builds.Builds(cloud, api_url)
        edge_url = f"http://{_HOST}:{port}"
        yield LoopbackE2B(cloud, api_url, edge_url, edge_url, ca, options.api_key or _KEY, options.domain)


async def _close(server: asyncio.Server, edge: Edge) -> None:
    server.close()
    await edge.close()


async def _serve(stack: contextlib.AsyncExitStack, application: ASGIApp, socket_path: Path) -> int:
    """The application on a Unix socket, for the edge, and on a port of its own; the port."""
    tcp = socket.create_server((_HOST, 0), backlog=512)
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(socket_path))
    unix.listen(512)
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_level="critical",
        # Streams of a sandbox do not end by themselves.
        timeout_graceful_shutdown=1,
        access_log=False,
        timeout_keep_alive=75,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([tcp, unix]))

    async def stop() -> None:
        server.should_exit = True
        await asyncio.wait({task}, timeout=_STARTED)
        for end in (tcp, unix):
            end.close()

    stack.push_async_callback(stop)
    async with asyncio.timeout(_STARTED):
        await server.up.wait()
    return int(tcp.getsockname()[1])
