"""What tests of background runs share: a workflow that takes as long as it is told, and how it is asked."""

from __future__ import annotations

from typing import Any

from tests.support.runtime import (
    ADMIN,
    request,
    workflow,
)

from codewords_mcp.runtime.api.runtime import Runtime

WORK = workflow(
    """
import asyncio
@app.post("/")
async def work(request: Request):
    asked = await request.json()
    print("began", asked.get("name"), flush=True)
    await asyncio.sleep(asked.get("seconds", 0))
    return {"name": asked.get("name")}
@app.post("/fail")
async def fail(request: Request):
    raise RuntimeError("not this time")
""",
    title="Work",
)


def with_options(code: str, *lines: str) -> str:
    """The script with these lines under [tool.codewords]."""
    table = "".join(f"# {line}\n" for line in ("[tool.codewords]", *lines))
    return code.replace("# ///\nfrom", f"{table}# ///\nfrom")


async def start(runtime: Runtime, service: str, name: str, *, seconds: float = 0, **more: Any) -> str:
    return await runtime.runs.start(request(service, {"name": name, "seconds": seconds}, **more))


async def says(runtime: Runtime, run_id: str, word: str) -> None:
    """Wait until the run's log has this."""
    async for line in runtime.logs.lines(ADMIN, run_id):
        if line is not None and word in line.message:
            return
    raise AssertionError(f"the log of {run_id} ended without {word}")


async def fill(runtime: Runtime, service: str) -> list[str]:
    """Take every slot with runs that go on until they are cancelled."""
    holders = [
        await start(runtime, service, f"holder {n}", seconds=600) for n in range(runtime.settings.concurrency)
    ]
    for holder in holders:
        await says(runtime, holder, "began")
    return holders


async def cancel(runtime: Runtime, *run_ids: str) -> None:
    for run_id in run_ids:
        assert (await runtime.runs.cancel(ADMIN, run_id)).status == "cancelled"
