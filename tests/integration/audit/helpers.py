"""Receivers of the audit trail, and what is sent on to them."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from codewords_mcp.runtime.audit.forwarding import AuditForwarder
from codewords_mcp.runtime.audit.subjects import SubjectMarks
from codewords_mcp.runtime.audit.trail import AuditTrail
from codewords_mcp.runtime.audit.webhook_receiver import AuditWebhook
from codewords_mcp.runtime.model.audit import AuditedOperation
from codewords_mcp.runtime.store import audit_chain
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import Web

MARKS = SubjectMarks(lambda: [b"k" * 32])
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(ThreadingHTTPServer):
    """Takes webhooks. `answers` are the statuses of the next answers, 200 after them. `limit`: bytes of a body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/audit"
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.refused = 0
        self.answers: list[int] = []
        self.limit = 1 << 30

    def seqs(self) -> list[int]:
        return [entry["seq"] for _, body in self.taken for entry in json.loads(body)["data"]["entries"]]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        if len(body) > self.server.limit:
            status = 413
        if status == 413:
            self.server.refused += 1
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.taken.append((headers, body))
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing."""


@contextmanager
def served(server: socketserver.BaseServer) -> Generator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def secret() -> str:
    return SECRET


def forwarder(database: Database, web: Web, receiver: Receiver, **more: Any) -> AuditForwarder:
    executor = more.pop("executor", "e1")
    return AuditForwarder(database, executor, AuditWebhook(web, receiver.url, secret), **more)


async def add(database: Database, count: int, *, agent: str = "a script", seals: bool = True) -> None:
    """Entries, sealed."""
    trail = AuditTrail(database, MARKS)
    for number in range(count):
        trail.record(AuditedOperation("http", f"PUT /{number}", agent=agent, writes=True), "done")
    await database.drained()
    if seals:
        await database.write(audit_chain.seal)
