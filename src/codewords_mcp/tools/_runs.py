"""A run as a tool waits for it and answers it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mcp_types import CallToolResult

from codewords_mcp.door.runs import run_result, run_words
from codewords_mcp.door.text import one_line
from codewords_mcp.runtime.author_info import Diagnosis
from codewords_mcp.runtime.models import FINISHED, Caller, LogLine, Progress, Run
from codewords_mcp.tools._tool import answer

if TYPE_CHECKING:
    from codewords_mcp.runtime.runtime import Runtime

_SLICE = 5.0


async def follow(runtime: Runtime, caller: Caller, run: Run, *, seconds: float, progress: Progress) -> Run:
    """Wait up to `seconds` for the run's end, telling progress at least every 5 s; the record as it is then."""
    start = time.monotonic()
    while run.status not in FINISHED and (waited := time.monotonic() - start) < seconds:
        await progress(waited, seconds, _stage(run))
        run = await runtime.get_run(caller, run.id, wait=min(seconds - waited, _SLICE))
    return run


def answer_run(run: Run, logs: list[LogLine], why: Diagnosis | None = None) -> CallToolResult:
    """The record, the log lines given and the diagnosis, as a tool's result."""
    data = run_result(run, logs, why)
    return answer(data, run_words(data))


def _stage(run: Run) -> str:
    step = f", step {one_line(run.steps[-1].id, 60)}" if run.steps else ""
    waits = f" for {run.waits_for}" if run.waits_for else ""
    return f"Run {run.id}: {run.status}{waits}{step}"
