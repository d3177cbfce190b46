"""Elicitation within a call, for clients up to protocol version 2025-11-25.

A client may send back an error or a malformed result. Neither is a person's decision: the caller
continues as after silence, and the model sees no tool error.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Literal

import structlog
from mcp import MCPError
from mcp_types import ElicitResult
from pydantic import ValidationError

from codewords_mcp.mcp_server.context import ToolContext

Action = Literal["accept", "decline", "cancel"]
EMPTY_FORM: Final[dict[str, Any]] = {"type": "object", "properties": {}}
"""A form without fields: accepting it is the decision, with or without content."""
log = structlog.get_logger(__name__)


async def elicit_form(ctx: ToolContext, message: str) -> Action | None:
    """Show a form without fields; return the person's action, or None without one."""
    return await _action(ctx.session.elicit_form(message, EMPTY_FORM, ctx.request_id))


async def elicit_url(ctx: ToolContext, message: str, url: str, elicitation_id: str) -> Action | None:
    """Ask the person to open a page; return their action, or None without one."""
    return await _action(ctx.session.elicit_url(message, url, elicitation_id, ctx.request_id))


async def _action(request: Awaitable[ElicitResult]) -> Action | None:
    try:
        return (await request).action
    except (MCPError, ValidationError) as error:
        log.warning("elicitation failed", error=type(error).__name__)
        return None
