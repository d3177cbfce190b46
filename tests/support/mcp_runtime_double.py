"""A runtime that holds a home and serves MCP over HTTP with a few tools: what the front needs of the real one.

Run as a program: `mcp_runtime_double.py HOME [PORT]`. It is published the way the real one is, by the same code.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import EmptyResult, SetLevelRequestParams
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from codewords_mcp import __version__
from codewords_mcp.stdio.home import RuntimeInfo
from codewords_mcp.stdio.home_lock import HomeLock

TOKEN = "cwk-standin"
server = MCPServer("standin", log_level="ERROR")
marks = os.environ.get("STANDIN_MARKS", "")
"""A folder in which a tool leaves a file for what happened to it."""


def mark(name: str) -> None:
    if marks:
        with open(os.path.join(marks, name), "a", encoding="utf-8") as file:
            file.write("x")


@server.tool()
async def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@server.tool()
async def echo(text: str) -> str:
    """Say it again."""
    return text


@server.tool()
async def count(ctx: Context[Any, Any], to: int) -> str:
    """Count, telling each step."""
    for n in range(to):
        await ctx.report_progress(n + 1, to, f"step {n + 1}")
    return "counted"


@server.tool()
async def hang(name: str) -> str:
    """Wait until cancelled."""
    mark(f"{name}-started")
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        mark(f"{name}-cancelled")
        raise
    return "never"


class Answer(BaseModel):
    """What a person is asked for."""

    name: str


@server.tool()
async def ask(ctx: Context[Any, Any]) -> str:
    """Ask the person behind the chat host."""
    answer = await ctx.elicit("Who are you?", Answer)
    return f"hello {answer.data.name}" if answer.action == "accept" else answer.action


@server.tool()
async def announce(ctx: Context[Any, Any]) -> str:
    """Tell on the listening stream that tools changed."""
    await ctx.session.send_tool_list_changed()
    return "announced"


@server.tool()
async def change(ctx: Context[Any, Any]) -> str:
    """Tell those who subscribed in the newer era that tools changed."""
    await ctx.notify_tools_changed()
    return "changed"


@server.tool()
async def forget() -> str:
    """Lose every session, as an idle timeout does."""
    server.session_manager._server_instances.clear()  # pyright: ignore[reportPrivateUsage]
    return "forgotten"


async def set_level(_ctx: object, params: SetLevelRequestParams) -> EmptyResult:
    """Leave a trace of the level."""
    mark(f"level-{params.level}")
    return EmptyResult()


low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # nothing public leads to this method
low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)


class Front:
    """What stands before MCP: the key, `/status`, `/stop`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.server: uvicorn.Server | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif dict(scope["headers"]).get(b"authorization") != f"Bearer {TOKEN}".encode():
            await Response(status_code=401)(scope, receive, send)
        elif scope["path"] == "/status":
            runs = {"active": int(os.environ.get("STANDIN_ACTIVE", "0")), "queued": 0}
            await JSONResponse({"runs": runs})(scope, receive, send)
        elif scope["path"] == "/stop":
            await Response(status_code=202)(scope, receive, send)
            assert self.server is not None
            self.server.should_exit = True
        else:
            await self.app(scope, receive, send)


def main() -> None:
    home = sys.argv[1]
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    hold = HomeLock(home)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    version = os.environ.get("STANDIN_VERSION", __version__)
    hold.publish(RuntimeInfo(url, os.getpid(), version, TOKEN, str(time.time()), recovered=hold.recovered))
    print("ready", url, flush=True)
    front = Front(server.streamable_http_app())
    front.server = uvicorn.Server(
        uvicorn.Config(front, log_level="error", lifespan="on", timeout_graceful_shutdown=1)
    )
    front.server.run(sockets=[listener])
    hold.release()


if __name__ == "__main__":
    main()
