"""What the runtime adds to a call of a library service: the whole way of a call, beside the service's own work alone."""

# pyright: basic, reportOptionalMemberAccess=false
from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

from _bench import Question, options, report

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.services.model_prompt.services import OPENAI
from codewords_mcp.runtime.services.service_input import parse_input
from codewords_mcp.settings import Settings

BODY = b'{"model": "echo", "prompt": "hello"}'
DATA = {"model": "echo", "prompt": "hello"}
ADMIN = Caller("local", "admin")
CALLS = 300


def request() -> RunRequest:
    async def body() -> AsyncIterator[bytes]:
        yield BODY

    return RunRequest("openai", "POST", "/", b"", [], body(), ADMIN)


async def through(runtime: Runtime) -> float:
    """Milliseconds of a call that is found, read, answered by the echo model, recorded and streamed."""
    began = time.perf_counter()
    response = await runtime.runs.execute(request())
    async for _ in response.body:
        pass
    return (time.perf_counter() - began) * 1000


async def alone() -> float:
    """Milliseconds of the same operation, called as a function."""
    operation, context = OPENAI.operations[0], _Context()
    began = time.perf_counter()
    (await operation.call(context, parse_input(operation.input, DATA))).model_dump_json()  # type: ignore[arg-type]
    return (time.perf_counter() - began) * 1000


class _Context:
    """What the echo model looks at, which is nothing."""

    dependencies = SimpleNamespace(gateway=None)
    caller = ADMIN


async def measure(question: Question, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with Runtime.open(Settings(home=Path(folder) / "home", port=0)) as runtime:
            for _ in range(50):
                await through(runtime)
            for _ in range(rounds):
                question.ours.append(statistics.median([await through(runtime) for _ in range(CALLS)]))
                question.peer.append(statistics.median([await alone() for _ in range(CALLS)]))


def main() -> int:
    chosen = options(__doc__ or "", runs=9, quick_runs=3)
    question = Question("a service call, p50", "the operation as a function", "ms", None, adds_at_most=1.0)
    asyncio.run(measure(question, chosen.runs))
    return report([question], chosen)


if __name__ == "__main__":
    sys.exit(main())
