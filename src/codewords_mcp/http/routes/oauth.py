"""Metadata that names the authorization server whose tokens are taken here (RFC 9728)."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import NotFound
from codewords_mcp.http.middleware.tokens import DOCUMENT, GRANTED, resource_of
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import app_state


async def protected_resource(request: Request) -> Response:
    """Describe the protected resource (RFC 9728): its authorization server, identifier and scopes."""
    parts = app_state(request.scope)
    if not parts.settings.oauth_issuer:
        raise NotFound(
            "This runtime takes keys, no access tokens.", hint="`codewords keys create` makes one."
        )

    resource = resource_of(parts.settings, parts.runtime)
    toolset = request.path_params.get("toolset")
    document = {
        "resource": f"{resource}/{toolset}" if toolset else resource,
        "authorization_servers": [parts.settings.oauth_issuer],
        "scopes_supported": list(GRANTED),
        "bearer_methods_supported": ["header"],
        "resource_name": "CodeWords",
    }

    # Public by design: clients in browsers look for the authorization server here.
    return JsonReply(document, headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=300"})


_DOCUMENT: dict[str, Any] = {"type": "object", "required": ["resource", "authorization_servers"]}
OPERATIONS = [
    HttpOperation(
        "GET",
        path,
        "Whose access tokens are taken (RFC 9728)",
        protected_resource,
        tag="mcp",
        reply=_DOCUMENT,
    )
    for path in (DOCUMENT, f"{DOCUMENT}/mcp", f"{DOCUMENT}/mcp/{{toolset}}")
]
