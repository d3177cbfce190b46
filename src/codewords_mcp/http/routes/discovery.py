"""The server card of MCP's draft extension (SEP-2127), and the catalogue by which clients find it on a domain."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.paths import SERVER_CARD_PATH
from codewords_mcp.http.responses import JsonReply
from codewords_mcp.http.state import app_state

CATALOGUE_PATH: Final = "/.well-known/ai-catalog.json"
CARD_MEDIA: Final = "application/mcp-server-card+json"
CATALOGUE_MEDIA: Final = "application/ai-catalog+json"
_SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
# Public by design: a client that knows only the domain reads both, from a browser too.
_HEADERS: Final = {"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=300"}


async def server_card(request: Request) -> Response:
    """Describe this MCP server: name, version, address, the key that a connection needs."""
    from mcp_types.version import SUPPORTED_PROTOCOL_VERSIONS

    card = {
        "$schema": _SCHEMA,
        "name": "io.github.codewords-mcp/codewords-mcp",
        "title": "CodeWords workflows (unofficial)",
        "description": "Generate, validate, deploy, run and schedule sandboxed Python workflows.",
        "version": __version__,
        "remotes": [
            {
                "type": "streamable-http",
                "url": f"{_address(request)}/mcp",
                "supportedProtocolVersions": list(SUPPORTED_PROTOCOL_VERSIONS),
                "headers": [
                    {
                        "name": "Authorization",
                        "description": "A key of this runtime, or an access token where it takes tokens.",
                        "isRequired": True,
                        "isSecret": True,
                        "value": "Bearer {key}",
                        "variables": {"key": {"isRequired": True, "isSecret": True}},
                    }
                ],
            }
        ],
    }
    return JsonReply(card, headers={**_HEADERS, "Content-Type": CARD_MEDIA})


async def catalogue(request: Request) -> Response:
    """List the one server of this runtime for clients that look for servers on a domain."""
    address = _address(request)
    entry = {
        "identifier": f"urn:air:{urlsplit(address).hostname}:mcp:codewords",
        "type": CARD_MEDIA,
        "url": f"{address}{SERVER_CARD_PATH}",
    }
    document = {"specVersion": "1.0", "entries": [entry]}
    return JsonReply(document, headers={**_HEADERS, "Content-Type": CATALOGUE_MEDIA})


def _address(request: Request) -> str:
    parts = app_state(request.scope)
    return (parts.settings.public_url or parts.runtime.base_url).rstrip("/")


_CARD: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "remotes"],
}
_CATALOGUE: dict[str, Any] = {"type": "object", "required": ["specVersion", "entries"]}
OPERATIONS = [
    HttpOperation(
        "GET", SERVER_CARD_PATH, "This MCP server's card (SEP-2127)", server_card, tag="mcp", reply=_CARD, media=CARD_MEDIA,
    ),
    HttpOperation(
        "GET", CATALOGUE_PATH, "The MCP servers of this address, for discovery", catalogue, tag="mcp", reply=_CATALOGUE,
        media=CATALOGUE_MEDIA,
    ),
]  # fmt: skip
