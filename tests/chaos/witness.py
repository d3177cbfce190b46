"""Somebody outside of the runtimes whom programs tell what they do, so that the records need not be believed."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.runtime import workflow

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

_PROGRAM = """
import asyncio
KEPT = []
@app.post("/")
async def work(request: Request):
    asked, run = await request.json(), request.headers["x-request-id"]
    reader, writer = await asyncio.open_connection("{host}", {port})
    KEPT.append(writer)  # open as long as this process lives
    writer.write(f"began {{run}}\\n".encode())
    await writer.drain()
    for number in range(asked["lines"]):
        print("line", number, flush=True)
        await asyncio.sleep(asked["seconds"] / asked["lines"])
    writer.write(f"ended {{run}}\\n".encode())
    await writer.drain()
    return {{"name": asked["name"]}}
"""


@dataclass
class Witness:
    """By run id: how often its program began and ended, and how many of its processes live now."""

    port: int
    began: Counter[str] = field(default_factory=Counter[str])
    ended: Counter[str] = field(default_factory=Counter[str])
    living: Counter[str] = field(default_factory=Counter[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def program(self) -> str:
        """A workflow that tells this witness. Its input: {name, lines, seconds}."""
        return workflow(_PROGRAM.format(host=HOST_ALIAS, port=self.port), title="Witnessed")

    def hear(self, connection: socket.socket) -> None:
        """One program, until its process has ended."""
        run_id = ""
        with connection, connection.makefile(encoding="utf-8") as told:
            try:
                for line in told:
                    what, run_id = line.split()
                    with self._lock:
                        self.living[run_id] += what == "began"
                        (self.began if what == "began" else self.ended)[run_id] += 1
            except OSError:
                pass  # the way out broke, with the runtime that it leads through
        with self._lock:
            self.living[run_id] -= bool(run_id)


@contextmanager
def witnessing() -> Generator[Witness]:
    """A witness on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        witness = Witness(server.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:  # closed
                    return
                threading.Thread(target=witness.hear, args=[connection], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield witness
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
