"""The hop into a sandbox and nothing else: a bare ASGI app that passes each request on. Started by `http_door.py`.

Argument: the port to serve on. Its server and its client of the sandbox are those of the product's HTTP door.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
import uvloop
from _sandboxes import drain, greeting_environment, open_driver, quiet, spec

from codewords_mcp.runtime.sandboxes import http1


def passing_on(path: str, pool: http1.Connections) -> Any:
    """The app."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        async def body() -> AsyncIterator[bytes]:
            more = True
            while more:
                message = await receive()
                more = message.get("more_body", False)
                yield message.get("body", b"")

        reply = await http1.request(
            path, scope["method"], scope["raw_path"], scope["headers"], body(), connections=pool
        )
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        async for chunk in reply.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


async def main() -> None:
    """Serve until killed."""
    environment = await greeting_environment()
    async with open_driver(environment) as driver:
        sandbox = await driver.start(spec(environment))
        reading = asyncio.create_task(drain(sandbox))
        await sandbox.wait_ready()
        app = passing_on(sandbox.socket_path, http1.Connections(sandbox.socket_path))
        config = uvicorn.Config(
            app,
            port=int(sys.argv[1]),
            lifespan="off",
            access_log=False,
            log_level="error",
            http="httptools",
            loop="none",
        )
        await uvicorn.Server(config).serve()
        await sandbox.kill()
        await reading


if __name__ == "__main__":
    quiet()
    uvloop.run(main())
