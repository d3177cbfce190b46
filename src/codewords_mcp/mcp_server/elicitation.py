"""Questions that the client puts to its person within a call, as clients up to 2025-11-25 are asked.

A client may reply with an error, or with something that is no reply. Neither is an answer of a person: the caller goes on as
after silence, and no word of it reaches the model as an error of the tool.
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
"""A form without fields: accepting it is the answer, with or without content."""
log = structlog.get_logger(__name__)


async def elicit_form(ctx: ToolContext, message: str) -> Action | None:
    """What the person did with a form without fields; None where no answer of theirs came."""
    return await _action(ctx.session.elicit_form(message, EMPTY_FORM, ctx.request_id))


async def elicit_url(ctx: ToolContext, message: str, url: str, elicitation_id: str) -> Action | None:
    """Whether the person opens a page; None where no answer of theirs came."""
    return await _action(ctx.session.elicit_url(message, url, elicitation_id, ctx.request_id))


async def _action(request: Awaitable[ElicitResult]) -> Action | None:
    try:
        return (await request).action
    except (MCPError, ValidationError) as error:
        log.warning("elicitation not answered", error=type(error).__name__)
        return None
