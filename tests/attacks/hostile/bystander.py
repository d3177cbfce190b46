"""A workflow of somebody else: a small server that answers, and that goes out through the proxy when asked to."""

from __future__ import annotations

import http.server
import os
import socket

from tests.attacks.hostile.attempts import runtime_port


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers /, and /out with what the runtime's listener says."""

    def do_GET(self) -> None:
        body = b"here" if self.path == "/" else _went_out()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


def _went_out() -> bytes:
    with socket.create_connection(("127.0.0.1", runtime_port()), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        return client.recv(200)


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
