"""Servers of a registry, found by words: https://registry.modelcontextprotocol.io, or one with the same API.

Anybody may publish there, so that an entry recommends nothing: a server is judged where it is connected.
"""

from __future__ import annotations

from typing import Any, cast

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.addresses import MAX_URL, is_address
from codewords_mcp.runtime.model.mcp import RegistryServer
from codewords_mcp.runtime.web.client import Web

TIMEOUT_S = 15.0
MAX_SERVERS = 50
# Those with an address of their own come after those that have to be installed.
_ENTRIES = 100
_TRANSPORTS = frozenset({"streamable-http", "sse"})


async def search_registry(web: Web, base: str, query: str, limit: int) -> list[RegistryServer]:
    """Find remote servers by words, in the registry's order. Raises InvalidInput, UpstreamFailed, UpstreamTimedOut."""
    words = query.strip()
    if not words:
        raise InvalidInput("The search is empty.", hint="Name the app, or a part of its name.")
    # A version of each is enough.
    params = {"search": words[:200], "limit": str(_ENTRIES), "version": "latest"}
    response = await web.api(base, "/v0/servers", params=params, seconds=TIMEOUT_S)
    if response.status != 200:
        raise UpstreamFailed("The registry refused the search.", upstream_status=response.status)

    found: dict[str, RegistryServer] = {}
    for entry in _objects(_object(response.json()).get("servers")):
        server = _to_server(_object(entry.get("server", entry)))
        if server is not None:
            found.setdefault(server.url, server)
    return list(found.values())[: min(limit, MAX_SERVERS)]


def _to_server(described: dict[str, Any]) -> RegistryServer | None:
    """A server that is reached by an address without parts to fill in; None for another one."""
    for remote in _objects(described.get("remotes")):
        url = str(remote.get("url") or "")
        if remote.get("type") in _TRANSPORTS and is_address(url) and "{" not in url and len(url) <= MAX_URL:
            return RegistryServer(
                name=str(described.get("name") or "")[:200],
                title=str(described.get("title") or "")[:100],
                description=str(described.get("description") or "")[:300],
                url=url,
            )
    return None


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [_object(entry) for entry in cast("list[Any]", value)] if isinstance(value, list) else []
