"""A host on loopback that counts each write by the key in its body, whatever became of the answer."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

RECEIVE_BUFFER = 8 << 10
"""Bytes that wait for the host at the most: a long body is cut where its sender ends."""


def _answer(_key: str) -> int:
    return 200


def _nothing(_path: str) -> None:
    return None


@dataclass
class CountingHost:
    """`fate(key)` is the status of the answer to a request, 0 for a connection that is cut after the request came.

    `on_half(path)` is called when half of a body has come, `on_answered(path)` when an answer has gone out.
    """

    port: int
    fate: Callable[[str], int] = _answer
    on_half: Callable[[str], None] = _nothing
    on_answered: Callable[[str], None] = _nothing
    writes: Counter[str] = field(default_factory=Counter[str])
    reads: Counter[str] = field(default_factory=Counter[str])
    tokens: list[str] = field(default_factory=list[str])
    """The idempotency keys of all writes, in their order; "" of one without."""
    cut: Counter[str] = field(default_factory=Counter[str])
    """Writes that ended before their bodies were whole, by path."""
    reading: Counter[str] = field(default_factory=Counter[str])
    """Writes whose bodies are on their way, by path."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        """Its address for programs."""
        return f"http://{HOST_ALIAS}:{self.port}"

    @property
    def doubled(self) -> list[str]:
        """Keys that were written more than once."""
        with self.lock:
            return [key for key, count in self.writes.items() if count > 1]


@contextmanager
def counting_host() -> Generator[CountingHost]:
    """Serve one, in threads."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            with host.lock:
                host.reads[self.path] += 1
            self._respond(self.path)

        def do_POST(self) -> None:
            key = self._write()
            if key is not None:
                self._respond(key)

        def _write(self) -> str | None:
            """The key of the write, which is counted; None of one that is cut off."""
            length = int(self.headers.get("content-length") or 0)
            with host.lock:
                host.reading[self.path] += 1
            try:
                first = self.rfile.read(length // 2)
                host.on_half(self.path)
                body = first + self.rfile.read(length - len(first))
            except OSError:
                body = b""
            with host.lock:
                # At once: whoever sees that nothing is read any more sees the count.
                host.reading[self.path] -= 1
                if len(body) == length:
                    host.tokens.append(self.headers.get("idempotency-key") or "")
                    key = str(json.loads(body)["key"])
                    host.writes[key] += 1
                    return key
                host.cut[self.path] += 1
            self.close_connection = True
            return None

        def _respond(self, key: str) -> None:
            status = host.fate(key)
            if not status:
                self.close_connection = True
                return
            # New each time: a program that is given another answer goes on otherwise.
            answer = json.dumps({"key": key, "value": uuid.uuid4().hex}).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            # Whoever wrote may have been killed meanwhile.
            with suppress(OSError):
                self.wfile.write(answer)
            host.on_answered(self.path)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 1024

        def server_bind(self) -> None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            super().server_bind()

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of those that were killed."""

    server = Server(("127.0.0.1", 0), Handler)
    host = CountingHost(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
