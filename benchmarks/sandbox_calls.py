"""What a call of the runtime costs a sandbox: by the internal listener, beside a relay of its bytes to the public port.

Both ask the same route of the same runtime, which is in this process, on a thread of its own. The relay is what sandboxes had
before the internal listener.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from _bench import Question, interleave, options, report
from _sandboxes import quiet
from tests.support.egress import relayed_to
from tests.support.http_runtime import ADMIN_KEY, Door
from tests.support.runtime import make_home

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.egress import Egress, EgressPolicy, SandboxNetwork
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.sandboxes.base import SandboxSockets
from codewords_mcp.settings import Settings

PEER = "the bytes relayed to the public port"
_CALLS, _NEW = 300, 100


@contextmanager
def relayed(door: Door) -> Generator[int]:
    """A sandbox's network that relays to the public port; where the sandbox finds the runtime."""
    sock = socket.create_server(("127.0.0.1", 0))
    port: int = sock.getsockname()[1]

    async def attach(_runtime: Runtime) -> SandboxNetwork:
        egress = Egress(EgressPolicy(), relayed_to("127.0.0.1", door.port))
        return await egress.attach("relayed", SandboxSockets(sock))

    async def close(_runtime: Runtime) -> None:
        await served.close()

    served = door.ask(attach)
    try:
        yield port
    finally:
        door.ask(close)


def ask(connection: http.client.HTTPConnection, key: str) -> None:
    """One call, its answer checked."""
    connection.request("GET", "/services/files", headers={"Authorization": key})
    with connection.getresponse() as answer:
        if json.loads(answer.read())["name"] != "files":
            raise AssertionError(answer.status)


def kept(port: int, key: str) -> Callable[[], float]:
    """Milliseconds of a call on a connection that is kept."""

    def measure() -> float:
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            ask(connection, key)
            began = time.perf_counter()
            for _ in range(_CALLS):
                ask(connection, key)
            return (time.perf_counter() - began) * 1000 / _CALLS

    return measure


def new(port: int, key: str) -> Callable[[], float]:
    """Milliseconds of a call with a connection of its own."""

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(_NEW):
            with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                ask(connection, key)
        return (time.perf_counter() - began) * 1000 / _NEW

    return measure


def main() -> int:
    """Entry point."""
    chosen = options(__doc__ or "", runs=20, quick_runs=8)
    quiet()
    on_kept = Question("a call of the runtime from a sandbox, connection kept", PEER, "ms", 1.0)
    on_new = Question("a call of the runtime from a sandbox, new connection", PEER, "ms", 1.0)
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.model_validate(
            {"home": make_home(Path(folder) / "home"), "port": 0, "api_key": ADMIN_KEY}
        )
        run = Caller("local", "run", run_id="run-of-the-benchmark")
        with Door(settings) as door, door.sandbox(run) as inside, relayed(door) as port:
            person = door.make_key(owner="local")
            interleave(on_kept, kept(inside.port, inside.key), kept(port, person), chosen.runs)
            interleave(on_new, new(inside.port, inside.key), new(port, person), chosen.runs)
    return report([on_kept, on_new], chosen)


if __name__ == "__main__":
    raise SystemExit(main())
