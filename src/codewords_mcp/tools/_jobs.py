"""Validating and deploying may build an environment for minutes: the tool then answers, and the work goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from codewords_mcp.mcp_server import tool as _tool
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

T = TypeVar("T")
Work = Callable[["Runtime", Caller, Progress], Awaitable[T]]


async def join_job(
    ctx: ToolContext, kind: str, content: list[Any], work: Work[T], *, wait: float | None = None
) -> T | None:
    """The result of `work`, or None when it takes longer than `wait` seconds (`WORK_TIMEOUT`): the same call later joins it.

    `content` is what makes two calls the same; each caller has its own work. Raises what the work raises, and TooBusy.
    """
    runtime, caller = runtime_and_caller(ctx)
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return await ctx.request_context.lifespan_context.jobs.join(
        (caller, kind, digest),
        lambda progress: work(runtime, caller, progress),
        wait=_tool.remaining_timeout(ctx, _tool.WORK_TIMEOUT if wait is None else wait),
        progress=ctx.report_progress,
    )
