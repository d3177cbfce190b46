"""Programs for machines of the loopback E2B, and how tests talk to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, Sandbox, SandboxSpec

COUNTER = """
import http.server, os
count = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        global count
        count += 1
        body = b"%d" % count
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers(); self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
"""Answers with how many requests there were."""

TICKER = (
    """
import threading, time, http.server, os
def tick():
    number = 0
    while True:
        print(number, flush=True)
        number += 1
        time.sleep(0.01)
threading.Thread(target=tick, daemon=True).start()
"""
    + COUNTER
)
"""The same, and counts on stdout."""

_numbers = itertools.count(1)


def spec(environment: EnvironmentRef, code: str, *, network: bool = False, **env: str) -> SandboxSpec:
    """A specification with an id of its own."""
    number = f"test-{os.getpid()}-{next(_numbers)}"
    return SandboxSpec(number, environment, code, {"PORT": "8000", **env}, network=network)


class Heard:
    """A sandbox's output as it comes."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.out = b""
        self.platform = b""
        self._more = asyncio.Event()
        self._reading = asyncio.create_task(self._read(sandbox))

    async def _read(self, sandbox: Sandbox) -> None:
        async for chunk in sandbox.output():
            if chunk.stream == "platform":
                self.platform += chunk.data
            else:
                self.out += chunk.data
            self._more.set()

    async def lines(self, at_least: int) -> list[str]:
        """Whole lines, once there are so many."""
        while self.out.count(b"\n") < at_least:
            self._more.clear()
            await self._more.wait()
        return self.out.decode().split("\n")[:-1]

    async def end(self) -> str:
        """All of it."""
        await self._reading
        return self.out.decode()


async def ask(sandbox: Sandbox, path: str = "/") -> str:
    """The body of an answer, on a connection of its own. Raises ConnectionError where there is none."""
    reader, writer = await asyncio.open_unix_connection(sandbox.socket_path)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    if not answer:
        raise ConnectionResetError("no answer")
    return answer.rpartition(b"\r\n\r\n")[2].decode()
