"""Runs in Prefect's own environment: the task that its worker serves, and who submits it. For each line on stdin: milliseconds
from `task.delay()` until its result is read, in the quickest of Prefect's ways, by the event that says that it has ended.
"""

from __future__ import annotations

import asyncio
import sys
import time

from prefect import task
from prefect.client.orchestration import get_client
from prefect.task_runs import TaskRunWaiter


@task
def greet(name: str) -> dict[str, str]:
    return {"message": f"Hello {name}!"}


async def submitted() -> float:
    from _prefect_greeting import greet as served

    began = time.perf_counter()
    future = served.delay("Ada")
    state = None
    async with asyncio.timeout(120), get_client() as client:
        while state is None or not state.is_final():
            # an event may be lost, which Prefect's own futures make up for by reading the state once they have waited
            state = await TaskRunWaiter.wait_for_task_run(future.task_run_id, timeout=0.5)
            state = state or (await client.read_task_run(future.task_run_id)).state
    assert await state.result() == {"message": "Hello Ada!"}
    return (time.perf_counter() - began) * 1000


async def main() -> None:
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(await submitted(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
