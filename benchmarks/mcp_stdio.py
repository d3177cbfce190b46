"""Measures a call of a server from a package, in its sandbox, over the same call by a client of the SDK that starts it itself.

Both speak with one small program on standard input and output; single calls take turns. The first call is with the process to
be started, the package being installed. Memory is what an idle server's processes take (PSS), its sandbox's among them.

    python benchmarks/mcp_stdio.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from _bench import Question, options, report
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

NAME = "bare-stdio"
WARM_UP = 20
_SERVER = """
import json, sys
TOOL = {"name": "add", "inputSchema": {"type": "object"}}
def answer(request):
    params = request.get("params") or {}
    if request["method"] == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "bare", "version": "1"}}
    if request["method"] == "tools/list":
        return {"tools": [TOOL]}
    numbers = params["arguments"]
    return {"content": [{"type": "text", "text": str(numbers["left"] + numbers["right"])}]}
def main():
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": answer(request)}) + "\\n")
            sys.stdout.flush()
if __name__ == "__main__":
    main()
"""


def make_wheel(folder: Path) -> None:
    """The server as a package."""
    module, info = "bare_stdio", "bare_stdio-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{module}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{module}.py", _SERVER)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{NAME} = {module}:main\n")
        wheel.writestr(f"{info}/RECORD", "")


def children() -> list[int]:
    """All processes that descend from this one."""
    found = [os.getpid()]
    for parent in found:
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (thread / "children").read_text(encoding="utf-8").split())
    return found[1:]


def memory_of_children() -> float:
    """Proportional MiB of all processes that descend from this one."""
    total = 0
    for pid in children():
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


async def timed(make: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await make()
    return (time.perf_counter() - began) * 1000


async def measure(
    folder: Path, rounds: int, per_round: int, call: Question, first: Question, memory: Question
) -> None:
    program = folder / "bare_stdio.py"
    program.write_text(_SERVER, encoding="utf-8")
    parameters = StdioServerParameters(command=sys.executable, args=[str(program)])
    numbers = {"left": 1, "right": 2}
    settings = Settings.model_validate({"home": folder / "home", "port": 0, "mcp_idle_timeout": 0.5})
    async with Runtime.open(settings) as runtime:
        owner = Caller("local", "admin")
        found = await runtime.connections.connect_server(owner, f"pypi:{NAME}", name="bare", agree=True)
        integrations = runtime.integrations

        async def brokered() -> None:
            done = await integrations.call(owner, found.app, "add", dict(numbers))
            if done.ret != "3":
                raise ValueError(done.ret)

        async def idle() -> None:
            while children():
                await asyncio.sleep(0.05)

        async def direct_start() -> None:
            async with Client(stdio_client(parameters), mode="legacy") as client:
                await client.call_tool("add", dict(numbers))

        await brokered()
        for _ in range(rounds):
            await idle()
            before = memory_of_children()
            first.ours.append(await timed(brokered))
            memory.ours.append(memory_of_children() - before)
            first.peer.append(await timed(direct_start))

        before = memory_of_children()
        async with Client(stdio_client(parameters), mode="legacy") as client:

            async def direct() -> None:
                await client.call_tool("add", dict(numbers))

            await direct()
            memory.peer += [memory_of_children() - before] * rounds
            for number in range(rounds + 1):
                took: tuple[list[float], list[float]] = ([], [])
                for _ in range(per_round if number else WARM_UP):
                    for times, make in zip(took, (brokered, direct), strict=True):
                        times.append(await timed(make))
                if number:
                    call.ours.append(statistics.median(took[0]))
                    call.peer.append(statistics.median(took[1]))


def main() -> int:
    chosen = options(__doc__ or "", runs=7, quick_runs=3)
    peer = "the SDK's client, the program as its child"
    call = Question("a call of a packaged server", peer, "ms", None, adds_at_most=3)
    first = Question("the first call, with its start", peer, "ms", None, at_most=2_000)
    memory = Question("memory of an idle one", peer, "MiB", None, at_most=40)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_wheel(folder)
        os.environ |= {"UV_FIND_LINKS": name, "UV_OFFLINE": "1"}
        asyncio.run(measure(folder, chosen.runs, 30 if chosen.quick else 100, call, first, memory))
    return report([call, first, memory], chosen)


if __name__ == "__main__":
    sys.exit(main())
