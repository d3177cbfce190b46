"""A rehearsal: what a program will do is done once, so that whatever is made lazily is there before a fork, or a claim.

A page of memory that a fork shares is copied when it is first touched, if only by a reference count; a warm sandbox
rehearses in its own process, so that those copies are made while nobody waits. Nothing that a program could see is
left of it: loggers, the event loop and its policy, standard output and environment variables are as before.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Generator
from typing import Any, Final

from .boot import UvicornHook

_SCRIPT: Final = """
import logging
import os

from fastapi import FastAPI
from pydantic import BaseModel

logging.basicConfig(level=os.environ.get("LOGLEVEL", "INFO"))

app = FastAPI(title="Rehearsal")


class Asked(BaseModel):
    name: str
    count: int | None = None


class Answer(BaseModel):
    message: str


@app.post("/", response_model=Answer)
async def answer(asked: Asked):
    return Answer(message=f"Hello {asked.name}!")
"""
_BODY: Final = b'{"name": "a", "count": 1}'
_REQUEST: Final = (
    b"POST / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 127.0.0.1\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_TIMES: Final = 3


def serving(hook: UvicornHook, *, loop: str) -> bool:
    """Run a script of ours as `boot` does, and serve it by uvicorn, on a socket of this network namespace.

    `hook` is the one that programs will have. `loop` as uvicorn has it. uvloop keeps two descriptors for as long as the
    process lives, so a fork server has to take "asyncio". False where there is no uvicorn or FastAPI, or one that this
    does not know: then programs are slower.
    """
    if "uvicorn" not in sys.modules or "fastapi" not in sys.modules:
        return False

    try:
        _rehearse(hook, loop)
    except Exception:  # noqa: BLE001
        # Of a uvicorn that we don't know: its programs start all the same, only slower.
        return False

    return True


def _rehearse(hook: UvicornHook, loop: str) -> None:
    with _output_discarded(), _loggers_restored(), _policy_restored(), contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind("\0rehearsal")  # abstract: seen in this network namespace only
        listener.listen(_TIMES)

        # Requests are in the listener's queue before the server starts: one thread can do both.
        for _ in range(_TIMES):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect("\0rehearsal")
            client.sendall(_REQUEST)

        script: dict[str, Any] = {"__name__": "rehearsal"}
        exec(compile(_SCRIPT, "rehearsal", "exec", dont_inherit=True), script)  # noqa: S102
        # Imported once more, as programs do.
        hook.forget()
        _serve(script["app"], listener, loop)


def _serve(app: Any, listener: socket.socket, loop: str) -> None:
    """`uvicorn.run`, until as many requests are answered as were sent; without the 0.2 s that its end takes."""
    import asyncio

    import uvicorn

    answered = 0
    finished = asyncio.Event()

    async def counting(scope: Any, receive: Any, send: Any) -> None:
        nonlocal answered
        await app(scope, receive, send)
        answered += scope["type"] == "http"
        if answered == _TIMES:
            finished.set()

    async def main_loop() -> None:
        # uvicorn's own main loop begins so: this makes the default headers.
        await server.on_tick(0)
        # Nobody cancels it, and environments have Pythons without asyncio.timeout.
        await asyncio.wait_for(finished.wait(), 5)  # noqa: TID251

    async def shutdown(sockets: Any = None) -> None:  # noqa: ARG001
        for opened in server.servers:
            opened.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        await server.lifespan.shutdown()

    server: Any = uvicorn.Server(uvicorn.Config(counting, host="0.0.0.0", port=8000, loop=loop))
    server.main_loop = main_loop
    server.shutdown = shutdown
    server.run(sockets=[listener])


@contextlib.contextmanager
def _output_discarded() -> Generator[None]:
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def _loggers_restored() -> Generator[None]:
    """Loggers and the list of handlers are as before; a logger that is new is as if nobody had configured it."""
    import logging

    def loggers() -> list[logging.Logger]:
        return [
            logging.root,
            *(opened for opened in list(known.values()) if isinstance(opened, logging.Logger)),
        ]

    known: dict[str, Any] = logging.root.manager.loggerDict
    internals: Any = logging
    before = {
        opened: (opened.level, list(opened.handlers), opened.propagate, opened.disabled)
        for opened in loggers()
    }
    listed = internals._handlerList[:]  # noqa: SLF001

    try:
        yield
    finally:
        for logger in loggers():
            # A logger made by the rehearsal gets a new logger's state.
            level, handlers, propagate, disabled = before.get(logger, (logging.NOTSET, [], True, False))
            logger.handlers[:] = handlers
            logger.propagate, logger.disabled = propagate, disabled
            # Setting a level clears the caches of all loggers; not for nothing.
            if logger.level != level:
                logger.setLevel(level)

        internals._handlerList[:] = listed  # noqa: SLF001


@contextlib.contextmanager
def _policy_restored() -> Generator[None]:
    """Reset the event loop policy."""
    import asyncio

    # A policy that had a loop makes no other by itself, which `asyncio.get_event_loop` at the top of
    # a script expects.

    try:
        yield
    finally:
        asyncio.set_event_loop_policy(None)  # pyright: ignore[reportDeprecated]
