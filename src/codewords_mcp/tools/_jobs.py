"""Jobs of tools: a build may take minutes, so the tool returns earlier and the work continues."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from codewords_mcp.mcp_server.context import ToolContext, limits_of, runtime_and_caller
from codewords_mcp.mcp_server.tool import remaining_timeout
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

T = TypeVar("T")
Work = Callable[["Runtime", Caller, Progress], Awaitable[T]]


async def join_job(
    ctx: ToolContext, kind: str, content: list[Any], work: Work[T], *, wait: float | None = None
) -> T | None:
    """Return the result of `work`, or None if it takes longer than `wait` seconds (the server's `work_timeout`).

    A later call of the same caller with the same `content` joins the work. Raises the work's
    exceptions, and TooBusy.
    """
    runtime, caller = runtime_and_caller(ctx)
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return await ctx.request_context.lifespan_context.jobs.join(
        (caller, kind, digest),
        functools.partial(work, runtime, caller),
        wait=remaining_timeout(ctx, limits_of(ctx).work_timeout if wait is None else wait),
        progress=ctx.report_progress,
    )
