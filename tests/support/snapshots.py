"""Programs that ask for a snapshot of their imports."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from tests.support.sandbox_programs import running, specification

from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.forkserver.snapshots import MemorySnapshot
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver

BEGIN = """
import os
import random
from fastapi import FastAPI

app = FastAPI()
forks = []
os.register_at_fork(after_in_child=lambda: forks.append(os.getpid()))
worked = sum(number * number for number in range(1_000_000))
print("imported", flush=True)
"""
END = """
if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""


def program(environment: EnvironmentRef, body: str, **env: str) -> SandboxSpec:
    """One that asks for a snapshot; COMMON is equal in all its runs, and nothing else of `env`."""
    spec = specification(environment, BEGIN + body + END, env=env, network=False)
    return replace(spec, snapshot=frozenset({"COMMON", "PORT"}))


async def fit(driver: LocalDriver, spec: SandboxSpec) -> MemorySnapshot:
    """Return when there is a snapshot of the program."""
    server = await driver.forks.server(spec)
    assert server is not None
    found = await driver.snapshots.judge(server, spec)
    assert isinstance(found, MemorySnapshot), found
    return found


async def ask(driver: LocalDriver, spec: SandboxSpec) -> tuple[Any, str]:
    """One run's answer, and what it printed."""
    async with running(driver, spec) as started:
        status, body = await started.ask("GET")
        await started.until_printed("imported")
        assert status == 200, (body, started.stderr)
    return json.loads(body), started.stdout


def again(spec: SandboxSpec) -> SandboxSpec:
    """Another run of the program."""
    return replace(spec, id=os.urandom(6).hex())
