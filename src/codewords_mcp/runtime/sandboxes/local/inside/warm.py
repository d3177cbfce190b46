"""Some requests through a FastAPI app, so that whatever it makes lazily is there before a fork, or before a claim.

A page of memory that a fork shares is copied when it is first touched, if only by a reference count; a blank sandbox does
by `serving` what its program will do, so that those copies are made while nobody waits.

Annotations are evaluated here (no `from __future__`): FastAPI could not find a class of this function by its name.
"""

import socket
import sys
from typing import Any

_BODY = b'{"name": "a", "count": 1}'
_TIMES = 3


def requests() -> None:
    """Ask an app of our own, without a server or a socket. Does nothing where there is no FastAPI."""
    if "fastapi" in sys.modules and "pydantic" in sys.modules:
        import asyncio

        asyncio.run(_ask(_app()))


def server() -> None:
    """Make a uvicorn configuration as a program will. Does nothing without uvicorn."""
    if "uvicorn" in sys.modules:
        import uvicorn

        async def app(_scope: object, _receive: object, _send: object) -> None:
            pass

        uvicorn.Config(app, log_config=None).load()


def serving() -> None:
    """Serve requests by uvicorn, on a socket of this sandbox's own network. Does nothing without uvicorn and FastAPI.

    Loggers, event loop and descriptors that it takes are gone afterwards.
    """
    if "uvicorn" not in sys.modules or "fastapi" not in sys.modules:
        return
    import asyncio

    _logging()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("\0warm")  # abstract: seen in this network namespace only
        listener.listen(1)
        client.connect("\0warm")
        client.setblocking(False)
        loop = (
            asyncio.SelectorEventLoop()
        )  # uvloop would keep two descriptors for as long as the process lives
        try:
            loop.run_until_complete(_serve(listener, client))
        finally:
            loop.close()


def _app() -> Any:
    from fastapi import FastAPI
    from pydantic import BaseModel

    class Item(BaseModel):
        name: str = ""
        count: int | None = None

    app: Any = FastAPI()

    @app.post("/", response_model=Item)
    async def answer(item: Item) -> Item:
        return item

    return app


async def _ask(app: Any) -> None:
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "scheme": "http", "client": None,
        "server": None, "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY, "more_body": False}

    async def send(_: dict[str, Any]) -> None:
        pass

    for _ in range(_TIMES):
        await app(dict(scope), receive, send)


async def _serve(listener: socket.socket, client: socket.socket) -> None:
    import asyncio

    import uvicorn

    config = uvicorn.Config(_app(), log_config=None, log_level="critical", access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    loop = asyncio.get_running_loop()
    head = (
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        % len(_BODY)
    )
    for _ in range(_TIMES):
        await loop.sock_sendall(client, head + _BODY)
        await loop.sock_recv(client, 4096)
    for one in server.servers:
        one.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    await server.lifespan.shutdown()


def _logging() -> None:
    """Configure logging as uvicorn does, for loggers of other names, and forget them."""
    import copy
    import logging.config

    import uvicorn.config

    known = logging.root.manager.loggerDict
    before = set(known)
    configuration: dict[str, Any] = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    configuration["loggers"] = {f"warm-{name}": one for name, one in configuration["loggers"].items()}
    logging.config.dictConfig(configuration)
    logging.shutdown()
    for name in set(known) - before:
        del known[name]
