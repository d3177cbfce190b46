"""Our errors in the shape of each provider, so that its SDK raises its own exception and repeats only what may help.

OpenAI's and Anthropic's SDKs repeat 408, 409, 429 and every 5xx unless `x-should-retry: false` says otherwise; Google's
repeats nothing by default, and no 402 ever.
"""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from codewords_mcp.errors import CodewordsError, TooBusy, Unauthenticated
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.runtime.model.model_errors import BudgetExceeded, ProviderTimedOut, ProviderUnavailable
from codewords_mcp.runtime.model.provider import Dialect, Provider

_OPENAI = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "requests",
}
_ANTHROPIC = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
_GEMINI = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "RESOURCE_EXHAUSTED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    504: "DEADLINE_EXCEEDED",
}
_WORTH_REPEATING = (TooBusy, ProviderUnavailable, ProviderTimedOut)


def dialect_of(provider: Provider, run_mount: bool, path: str) -> Dialect:
    """Return the provider whose SDK calls this path: OpenAI's for Gemini's OpenAI-compatible interface."""
    if provider == "anthropic":
        return "anthropic"
    if provider != "gemini":
        return "openai" if provider == "openai" else _dialect_of_path(path)
    compatible = "/openai/" in path or path.startswith(("/v1/chat/", "/v1/embeddings"))
    # Gemini's own methods have a colon in their path, as in models/x:generateContent.
    if compatible or (run_mount and path.startswith("/v1/") and ":" not in path):
        return "openai"
    return "gemini"


def _dialect_of_path(path: str) -> Dialect:
    """The dialect of a named provider's path: OpenAI's, but for what others' SDKs ask of clouds."""
    if path.startswith(("/v1/messages", "/model/")) or "/publishers/anthropic/" in path:
        return "anthropic"
    if "/publishers/" in path:
        return "gemini"
    return "openai"


def provider_reply(dialect: Dialect, error: CodewordsError) -> Response:
    """The error as an answer of that provider."""
    headers = {"Error-Origin": error.origin}
    if not isinstance(error, _WORTH_REPEATING):
        # Repeating a budget's refusal or a wrong input only costs time.
        headers["x-should-retry"] = "false"
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, (TooBusy, ProviderUnavailable)) and error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 413:
        headers["Connection"] = "close"  # the rest of the body is still on its way
    # OpenAI words an exhausted quota as 429; its SDK has no class for 402.
    if dialect == "openai" and isinstance(error, BudgetExceeded):
        status = 429
    else:
        status = error.status

    return JsonReply(_BODIES[dialect](error) | _more(error), status, headers)


def _openai(error: CodewordsError) -> dict[str, Any]:
    kind, code = _OPENAI.get(error.status, "server_error"), error.code
    if isinstance(error, BudgetExceeded):
        kind = code = "insufficient_quota"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


def _anthropic(error: CodewordsError) -> dict[str, Any]:
    kind = _ANTHROPIC.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}}


def _gemini(error: CodewordsError) -> dict[str, Any]:
    status = _GEMINI.get(error.status, "UNAVAILABLE")
    return {"error": {"code": error.status, "message": str(error), "status": status, "details": []}}


def _more(error: CodewordsError) -> dict[str, Any]:
    """The error in our own fields, beside the provider's; public clients read `detail`."""
    return {"codewords": error.to_dict(), "detail": str(error)}


_BODIES = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}
