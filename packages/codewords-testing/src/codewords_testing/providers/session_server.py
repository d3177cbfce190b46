"""A server of websockets on loopback, for stand-ins whose clients hold a session."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager

from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve


class SessionServer(ABC):
    """Sessions on one port, at `url`. `paths` has the address of each; `ended` is released at the end of each."""

    def __init__(self, key: str) -> None:
        self.url = ""
        self.key = key
        self.paths: list[str] = []
        self.ended = threading.Semaphore(0)

    @abstractmethod
    def converse(self, connection: ServerConnection, path: str, headers: dict[str, str]) -> None:
        """Carry out one session. Headers' names are in lower case. May raise ConnectionClosed."""

    @abstractmethod
    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake, or None."""

    @contextmanager
    def serving(self) -> Generator[None]:
        """Serve on a free port, in threads of its own."""
        server: Server = serve(self._handle, "127.0.0.1", 0, process_request=self.admit, max_size=None)
        thread = threading.Thread(target=server.serve_forever, name="sessions")
        thread.start()
        self.url = f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        try:
            yield
        finally:
            server.shutdown()
            thread.join(30)

    def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        if request is None:
            return
        self.paths.append(request.path)
        try:
            self.converse(
                connection, request.path, {name.lower(): value for name, value in request.headers.raw_items()}
            )
        except ConnectionClosed:
            return
        finally:
            self.ended.release()
