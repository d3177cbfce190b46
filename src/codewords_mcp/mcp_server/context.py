"""Who asks, and of what: the state a request of the MCP door can reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.mcp_server.jobs import Jobs
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

CALLER_KEY = "codewords.caller"
"""Where the HTTP door's authentication leaves the `Caller` in an ASGI scope."""


@dataclass(slots=True)
class ServerState:
    """The lifespan state of one MCP server: entered once per HTTP application, once per in-process connection.

    `caller` is the caller of in-process connections; requests that came over HTTP never fall back to it.
    """

    runtime: Runtime
    settings: Settings
    caller: Caller | None = None
    jobs: Jobs = field(default_factory=Jobs)


RequestContext = ServerRequestContext[ServerState, Any]
"""What a low-level handler gets."""

ToolContext = Context[ServerState, Any]
"""What a tool, resource or prompt function gets."""


def caller_of(ctx: RequestContext) -> Caller:
    """The caller of *this* request, also inside a session that lasts over many requests.

    Raises Unauthenticated when the request carries none.
    """
    if ctx.request is None:
        caller = ctx.lifespan_context.caller
    else:
        caller = ctx.request.scope.get(CALLER_KEY)

    if not isinstance(caller, Caller):
        raise Unauthenticated(
            "This request names no caller.", hint="Send the key as `Authorization: Bearer <key>`."
        )

    return caller


def principal_of(caller: Caller) -> str:
    """Who a session, a task or a sealed state belongs to: one key or token of one owner."""
    return ":".join((caller.kind, caller.owner, caller.key_id or "", caller.run_id or ""))


def runtime_and_caller(ctx: ToolContext) -> tuple[Runtime, Caller]:
    """The runtime, and on whose behalf to ask it. Raises Unauthenticated."""
    request = ctx.request_context
    return request.lifespan_context.runtime, caller_of(request)
