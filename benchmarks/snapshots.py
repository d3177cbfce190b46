"""Starts from a snapshot of a script with heavy imports, and of one that computes for a second at import, beside plain ones.

Each start is one of a fresh sandbox that is asked once and destroyed: plainly, as without `snapshot = true`, and going on from
the snapshot, in turns. The packages of the first script are none that fork servers import. Processor time is that of all
processes in the sandbox, until its end.

    python benchmarks/snapshots.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path

import uv
import uvloop
from _bench import Options, Question, options, report
from _sandboxes import drain, open_driver, quiet
from tests.support.runtime import warm_folder

from codewords_mcp.runtime.sandboxes import http1
from codewords_mcp.runtime.sandboxes.base import EnvironmentRef, SandboxSpec
from codewords_mcp.runtime.sandboxes.namespaces.driver import LocalDriver
from codewords_mcp.runtime.workflows.environments.environment import Environments
from codewords_mcp.runtime.workflows.script import parse_script
from codewords_mcp.settings import Settings

PLAIN = "the same script, started plainly"
HEADER = """# /// script
# requires-python = ">=3.11"
# dependencies = ["fastapi==0.115.12", "uvicorn==0.34.2", "boto3", "sqlalchemy", "lxml", "pillow", "cryptography"]
# ///
"""
SCRIPT = """
import os
FORKS = []
os.register_at_fork(after_in_child=lambda: FORKS.append(1))
{work}
from fastapi import FastAPI
import uvicorn
app = FastAPI()

@app.get("/")
async def forks():
    return len(FORKS)

uvicorn.run(app, host="0.0.0.0", port=int(os.environ["PORT"]))
"""
WORK = {
    "five heavy packages": "import boto3, botocore.session, cryptography.x509, lxml.html, PIL.Image, sqlalchemy.orm",
    "a second of computing": "worked = 0\nfor number in range(12_000_000): worked += number % 7",
}
COMMON = {"LOGLEVEL": "INFO", "PYTHONHASHSEED": "0"}


async def environment() -> EnvironmentRef:
    """The scripts' environment; built the first time."""
    environments = Environments(warm_folder(), Settings(home=warm_folder()), Path(uv.find_uv_bin()))
    try:
        return (await environments.ensure(parse_script(HEADER))).ref
    finally:
        await environments.close()


async def start(driver: LocalDriver, spec: SandboxSpec, number: int) -> tuple[float, float]:
    """Milliseconds until the answer, and of processors until the end."""
    began = time.perf_counter()
    sandbox = await driver.start(replace(spec, id=f"{spec.id}-{number}"))
    reading = asyncio.create_task(drain(sandbox))
    try:
        async with asyncio.timeout(120):
            reply = await http1.request(sandbox.socket_path, "GET", b"/", [], None)
            forks = int(b"".join([chunk async for chunk in reply.body]))
        took = time.perf_counter() - began
    finally:
        await sandbox.kill()
        await reading
    if forks != (spec.snapshot is not None):
        raise SystemExit("A start was not as it should be.")
    used = (await sandbox.usage()).cpu_seconds or 0.0
    return took * 1000, used * 1000


async def measure(chosen: Options) -> list[Question]:
    """Both scripts, both ways in turns."""
    questions: list[Question] = []
    reference = await environment()
    async with open_driver(reference) as driver:
        for name, work in WORK.items():
            plain = SandboxSpec(name.replace(" ", "-"), reference, SCRIPT.format(work=work), COMMON)
            restored = replace(plain, id=f"{plain.id}-restored", snapshot=frozenset(COMMON))
            if reasons := await driver.judge_snapshot(replace(restored, network=False)):
                raise SystemExit(f"No snapshot of {name}: {'; '.join(reasons)}")
            times, processors = (
                Question(f"{name} at import: {what}", PLAIN, "ms", target)
                for what, target in (
                    ("start to the first answer", 0.2),
                    ("processor time of the sandbox", 0.1),
                )
            )
            for number in range(chosen.runs):
                for spec, sides in (
                    (restored, (times.ours, processors.ours)),
                    (plain, (times.peer, processors.peer)),
                ):
                    for side, took in zip(sides, await start(driver, spec, number), strict=True):
                        side.append(took)
            questions += [times, processors]
    return questions


def main() -> int:
    """Measure and report."""
    quiet()
    chosen = options((__doc__ or "").splitlines()[0], runs=15, quick_runs=5)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        questions = runner.run(measure(chosen))
    return report(questions, chosen)


if __name__ == "__main__":
    sys.exit(main())
