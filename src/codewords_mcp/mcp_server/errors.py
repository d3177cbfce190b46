"""Errors of the MCP server: a code, a sentence, a hint. Unexpected ones are masked by an error id."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

import structlog
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.mcp_server.context import ToolContext
from codewords_mcp.mcp_server.remedies import WORDS
from codewords_mcp.runtime.model.shortages import shortage

P = ParamSpec("P")
R = TypeVar("R")
log = structlog.get_logger(__name__)


class McpInternalError(CodewordsError):
    """An unexpected failure, reported by the id of its log entry only."""


def to_codewords_error(error: BaseException, what: str) -> CodewordsError:
    """Return a `CodewordsError` with its remedy worded; log any other and return an error with the log entry's id."""
    if isinstance(error, CodewordsError):
        error.word_remedy(WORDS)
        return error
    # The text of an unexpected error may hold a value; only the log has it.
    error_id = secrets.token_hex(4)
    log.error("mcp_request_failed", request=what, error_id=error_id, exc_info=error)
    return shortage(error) or McpInternalError(
        f"The runtime failed on this request (error {error_id}).",
        hint="Its log has the details under that id; `codewords doctor` shows what works.",
    )


def to_protocol_error(error: CodewordsError, **data: Any) -> MCPError:
    """Return a JSON-RPC error, for requests whose result can't carry one: resources, prompts, completions."""
    if isinstance(error, (InvalidInput, NotFound)):
        code = INVALID_PARAMS
    else:
        # JSON-RPC has no code for refusals and busy servers; `data.code` names ours.
        code = INTERNAL_ERROR
    return MCPError(code=code, message=str(error), data=data | {"code": error.code})


def protocol_errors(fn: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Wrap a resource or prompt function: its exceptions become JSON-RPC errors with our messages."""

    @functools.wraps(fn)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await fn(*args, **kwargs)
        except MCPError:
            raise
        except Exception as error:
            data = _requested_uri(kwargs.get("ctx"))
            raise to_protocol_error(to_codewords_error(error, fn.__name__), **data) from error

    return guarded


def _requested_uri(ctx: object) -> dict[str, str]:
    if isinstance(ctx, Context):
        params = cast("ToolContext", ctx).request_context.params
    else:
        params = None
    if params and "uri" in params:
        return {"uri": str(params["uri"])}
    return {}
