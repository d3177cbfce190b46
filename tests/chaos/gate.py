"""A server on loopback that holds programs until a test lets them go on: how long a run takes is no time then."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.background_runs import with_options
from tests.support.runtime import workflow

from codewords_mcp.runtime.model.egress_policy import HOST_ALIAS

_PROGRAM = """
import asyncio
@app.post("/")
async def work(request: Request):
    asked = await request.json()
    reader, writer = await asyncio.open_connection("{host}", {port})
    writer.write((asked["name"] + "\\n").encode())
    await writer.drain()
    assert await reader.readline()
    writer.close()
    return {{"name": asked["name"]}}
"""


@dataclass
class Gate:
    """`passed` are names whose first program may go on. Every later program of a name goes on at once."""

    port: int
    arrived: Counter[str] = field(default_factory=Counter[str])
    _passed: set[str] = field(default_factory=set[str])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _closed: bool = False

    @property
    def program(self) -> str:
        """A workflow that waits here, and is tried again once. Its input: {name}."""
        code = workflow(_PROGRAM.format(host=HOST_ALIAS, port=self.port), title="Waits")
        return with_options(code, "retries = 1")

    def let(self, name: str) -> None:
        """Let the first program of a name go on, also before it comes."""
        with self._changed:
            self._passed.add(name)
            self._changed.notify_all()

    def close(self) -> None:
        """Let all go on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def serve(self, connection: socket.socket) -> None:
        """Hold one program, whose connection may end meanwhile."""
        with suppress(OSError), connection, connection.makefile(encoding="utf-8") as lines:
            name = lines.readline().strip()
            with self._changed:
                self.arrived[name] += 1
                first = self.arrived[name] == 1
                self._changed.wait_for(lambda: self._closed or not first or name in self._passed)
            connection.sendall(b"go on\n")


@contextmanager
def open_gate() -> Generator[Gate]:
    """A gate that ends with the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        gate = Gate(server.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    threading.Thread(target=gate.serve, args=[connection], daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield gate
        finally:
            gate.close()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
