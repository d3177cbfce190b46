"""Pipedream Connect on loopback, for tests: it speaks the API's protocol to our client and to Pipedream's own SDK.

    with loopback_connect() as connect:
        Settings(pipedream_base_url=connect.url, …)

Its project is `connect.project`, with `connect.credentials` for the secrets of a home. A person connects an account on the page
that its links lead to, or `connect_account` does so at once. What was asked is in `requests`, what was run in `runs`.
`answer_next` scripts faults. `python -m codewords_testing.pipedream --port 8766` runs it alone.

It was made from the public documentation and the SDK's behaviour, and has not been compared with the service itself.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

from codewords_testing.pipedream.connect import ActionRun, LoopbackConnect
from codewords_testing.providers.model import Request, StubReply
from codewords_testing.providers.server import ServerConnection

__all__ = ["ActionRun", "LoopbackConnect", "Request", "StubReply", "loopback_connect", "serving"]


@contextmanager
def serving(server: LoopbackConnect) -> Generator[LoopbackConnect]:
    """Serve it on a free port, in a thread of its own."""
    ready, end = threading.Event(), threading.Event()

    async def serve() -> None:
        aborted: deque[Request] = deque(maxlen=100)
        loop = asyncio.get_running_loop()
        connection = partial(ServerConnection, server.answer, aborted.append)
        listening = await loop.create_server(connection, "127.0.0.1", server.port)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        # The block ends in another thread, whose events this loop cannot await.
        await asyncio.to_thread(end.wait)
        listening.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="connect")
    thread.start()

    try:
        if not ready.wait(30):
            raise TimeoutError("the loopback Connect did not start")
        yield server
    finally:
        end.set()
        thread.join(30)


@contextmanager
def loopback_connect() -> Generator[LoopbackConnect]:
    """A project of its own, on a free port."""
    with serving(LoopbackConnect()) as running:
        yield running
