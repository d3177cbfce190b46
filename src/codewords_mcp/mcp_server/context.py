"""State that a request of the MCP server can reach: the runtime, the settings, its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context

from codewords_mcp.errors import Unauthenticated
from codewords_mcp.mcp_server.jobs import Jobs
from codewords_mcp.mcp_server.limits import DEFAULT_LIMITS, ServerLimits
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.settings import Settings

if TYPE_CHECKING:
    from codewords_mcp.runtime.api.runtime import Runtime

CALLER_KEY = "codewords.caller"
"""Key of an ASGI scope for the `Caller`, set by the HTTP API's authentication."""


@dataclass(slots=True)
class ServerState:
    """The lifespan state of an MCP server, one per HTTP application or in-process connection.

    `caller` is the caller of in-process connections. HTTP requests never fall back to it.
    """

    runtime: Runtime
    settings: Settings
    caller: Caller | None = None
    limits: ServerLimits = DEFAULT_LIMITS
    jobs: Jobs = field(default_factory=Jobs)


RequestContext = ServerRequestContext[ServerState, Any]
"""The context of a low-level handler."""

ToolContext = Context[ServerState, Any]
"""The context of a tool, resource or prompt function."""


def caller_of(ctx: RequestContext) -> Caller:
    """Return the caller of *this* request, also inside a session of many requests.

    Raises Unauthenticated if the request carries none.
    """
    if ctx.request is None:
        # Over stdio there are no requests with keys: whoever started the process is the caller.
        caller = ctx.lifespan_context.caller
    else:
        caller = ctx.request.scope.get(CALLER_KEY)

    if not isinstance(caller, Caller):
        raise Unauthenticated(
            "This request carries no key.", hint="Send the key as `Authorization: Bearer <key>`."
        )

    return caller


def principal_of(caller: Caller) -> str:
    """Return the identity that sessions, tasks and sealed states belong to: a key or token of an owner."""
    return ":".join((caller.kind, caller.owner, caller.key_id or "", caller.run_id or ""))


def limits_of(ctx: ToolContext) -> ServerLimits:
    """Return the limits of the request's server."""
    return ctx.request_context.lifespan_context.limits


def runtime_and_caller(ctx: ToolContext) -> tuple[Runtime, Caller]:
    """Return the runtime and the request's caller. Raises Unauthenticated."""
    request = ctx.request_context
    return request.lifespan_context.runtime, caller_of(request)
