"""Servers of a registry, found by words: https://registry.modelcontextprotocol.io, or one with the same API.

Anybody may publish there, so that an entry recommends nothing: a server is judged where it is connected.
"""

from __future__ import annotations

import re
from typing import Any, cast

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.integrations.mcp.addresses import MAX_URL, is_address
from codewords_mcp.runtime.integrations.mcp.package_names import MAX_VARIABLES, is_package, parse_package
from codewords_mcp.runtime.model.mcp import RegistryServer
from codewords_mcp.runtime.web.client import Web

TIMEOUT_S = 15.0
MAX_SERVERS = 50
# Those with an address of their own come after those that have to be installed.
_ENTRIES = 100
_VARIABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_TRANSPORTS = frozenset({"streamable-http", "sse"})


async def search_registry(web: Web, base: str, query: str, limit: int) -> list[RegistryServer]:
    """Find servers by words, in the registry's order. Raises InvalidInput, UpstreamFailed, UpstreamTimedOut."""
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
    """A server that is reached by an address without parts to fill in, or else comes as a package; None for another one."""
    url, variables = _remote(described), ()
    if not url:
        url, variables = _package(described)
    if not url:
        return None
    return RegistryServer(
        name=str(described.get("name") or "")[:200],
        title=str(described.get("title") or "")[:100],
        description=str(described.get("description") or "")[:300],
        url=url,
        variables=variables,
    )


def _remote(described: dict[str, Any]) -> str:
    for remote in _objects(described.get("remotes")):
        url = str(remote.get("url") or "")
        if remote.get("type") in _TRANSPORTS and is_address(url) and "{" not in url and len(url) <= MAX_URL:
            return url
    return ""


def _package(described: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """(the first package that can be started, the variables that it asks for)."""
    for listed in _objects(described.get("packages")):
        registry = str(listed.get("registryType") or listed.get("registry_type") or "").lower()
        transport = str(_object(listed.get("transport")).get("type") or "stdio")
        text = f"{registry}:{listed.get('identifier')}"
        version = str(listed.get("version") or "")
        if transport != "stdio" or not is_package(text):
            continue
        try:
            package = parse_package(f"{text}@{version}" if version else text)
        except InvalidInput:
            # Whatever a publisher wrote: no package of ours.
            continue
        declared = [str(one.get("name") or "") for one in _objects(listed.get("environmentVariables"))]
        names = tuple(name for name in declared if _VARIABLE.fullmatch(name))[:MAX_VARIABLES]
        return f"{package.url}@{package.version}" if package.version else package.url, names
    return "", ()


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        return {}
    return cast("dict[str, Any]", value)


def _objects(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [_object(entry) for entry in cast("list[Any]", value)]
