"""A bare dbos on SQLite in a process of its own. For each line `step`, or `queue` and a number, on stdin: the milliseconds of one
workflow of one step, or of so many through a queue.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, DBOSPortableJSONSerializer
from sqlalchemy import event


def engine(folder: Path) -> sa.Engine:
    """As fast as it is safe: WAL, not synchronous at each commit."""
    made = sa.create_engine(f"sqlite:///{folder / 'bare.db'}", pool_size=10, max_overflow=0)

    @event.listens_for(made, "connect")
    def configure(connection: object, _entry: object) -> None:
        connection.isolation_level = "IMMEDIATE"  # type: ignore[attr-defined]
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return made


async def main() -> None:
    DBOS(
        config={
            "name": "bare-dbos",
            "system_database_engine": engine(Path(sys.argv[1])),
            "executor_id": uuid.uuid4().hex,
            "application_version": "1",
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "ERROR",
        }
    )

    @DBOS.step()
    async def step(number: int) -> int:
        return number

    @DBOS.workflow()
    async def flow(number: int) -> int:
        return await step(number)

    DBOS.launch()
    await DBOS.register_queue_async("q", polling_interval_sec=0.01)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        began = time.perf_counter()
        if line.startswith("step"):
            handles = [await DBOS.start_workflow_async(flow, 1)]
        else:
            handles = [await DBOS.enqueue_workflow_async("q", flow, n) for n in range(int(line.split()[1]))]
        for handle in handles:
            await handle.get_result(polling_interval_sec=0.005)
        print((time.perf_counter() - began) * 1000, flush=True)


asyncio.run(main())
