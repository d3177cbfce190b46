"""Kept-alive connections to a runtime, many at once, and the replies that came on them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from codewords_mcp.cli._client import RuntimeEndpoint
from codewords_mcp.common.json_parts import object_of

TIMEOUT = 150.0
"""Seconds between two bytes of a reply: a synchronous run may take `CODEWORDS_SYNC_TIMEOUT`."""
STOP_TIMEOUT = 10.0
"""Seconds that threads have to end after an interrupt."""
UNREACHABLE = "unreachable"
"""The failure of a request to which no reply came."""


@dataclass(frozen=True, slots=True)
class LoadReply:
    """A reply. `failure` is "" for a success, else the code of the error, or `UNREACHABLE`."""

    failure: str
    run_id: str
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as an object; empty where it is none."""
        with suppress(ValueError):
            found = json.loads(self.body)
            if isinstance(found, dict):
                return cast("dict[str, Any]", found)
        return {}


class LoadClient:
    """One connection, used by one thread."""

    def __init__(self, endpoint: RuntimeEndpoint) -> None:
        parts = urlsplit(endpoint.url)
        self._prefix = parts.path.rstrip("/")
        self._headers = {**endpoint.headers, "Content-Type": "application/json"}
        host, port = parts.hostname or "", parts.port
        self._http: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._http = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
        else:
            self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT)

    def send(self, method: str, path: str, body: bytes | None = None) -> LoadReply:
        """Make a request. Never raises for what the network or the runtime does."""
        try:
            self._http.request(method, self._prefix + path, body, self._headers)
            response = self._http.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            # The next request connects anew.
            self._http.close()
            return LoadReply(UNREACHABLE, "", b"")

        reply = LoadReply("", response.getheader("X-Request-Id") or "", content)
        if response.status < http.HTTPStatus.BAD_REQUEST:
            return reply
        code = object_of(reply.json().get("error")).get("code")
        return LoadReply(str(code or response.status), reply.run_id, content)

    def abort(self) -> None:
        """End a request that waits, from another thread."""
        sock = self._http.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


class LoadClients:
    """Threads with a connection each. Leaving the block early ends their requests, which cancels synchronous runs."""

    def __init__(self, endpoint: RuntimeEndpoint) -> None:
        self._endpoint = endpoint
        self._stopped = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether the threads are to end."""
        return self._stopped.is_set()

    def run(self, count: int, work: Callable[[LoadClient], None], *, finishes: bool = False) -> None:
        """Do `work` in so many threads at once, and return when all have ended.

        An interrupt ends them first: their requests are cut off, or with `finishes` get their replies for some seconds.
        """
        clients = [LoadClient(self._endpoint) for _ in range(count)]
        threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
        with ExitStack() as stack:
            for client in clients:
                stack.callback(client.close)
            interrupted = stack.enter_context(ExitStack())
            interrupted.callback(self._stop, threads, clients, finishes=finishes)
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            interrupted.pop_all()

    def _stop(
        self, threads: Sequence[threading.Thread], clients: Sequence[LoadClient], *, finishes: bool
    ) -> None:
        """End the threads that have begun."""
        self._stopped.set()
        started = [thread for thread in threads if thread.ident is not None]
        if finishes:
            _join(started)
        for client in clients:
            client.abort()
        _join(started)


def _join(threads: Sequence[threading.Thread]) -> None:
    """Wait until the threads have ended, for some seconds at the most."""
    until = time.monotonic() + STOP_TIMEOUT
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
