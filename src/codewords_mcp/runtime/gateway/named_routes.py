"""Routes of named providers, and requests that name one in their model: `groq/llama-3.3-70b-versatile`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import lru_cache
from urllib.parse import unquote

from codewords_mcp.runtime.gateway.cloud_routes import (
    BEDROCK_OPENAI,
    VERTEX_OPENAI,
    bedrock_route,
    vertex_route,
)
from codewords_mcp.runtime.gateway.named_providers import NamedProvider, NamedProviders
from codewords_mcp.runtime.gateway.providers import (
    ProviderRoute,
    anthropic_route,
    check_path,
    find_route,
    openai_route,
    without_prefix,
)
from codewords_mcp.runtime.gateway.request_facts import read_request
from codewords_mcp.runtime.model.provider import Interface, Provider, ProviderRequest

_DEPLOYMENT = re.compile(r"/openai/deployments/([\w.-]{1,100})(/.+)", re.ASCII)


def route_of(request: ProviderRequest) -> ProviderRoute:
    """The route of a request. Raises NotFound for a path with `.`, `..` or empty parts."""
    if request.interface:
        return named_route(request.provider, request.interface, request.method, request.path, request.scope)
    return find_route(request.provider, request.method, request.path, run_mount=request.run_mount)


@lru_cache(maxsize=1024)
def named_route(
    provider: Provider, interface: Interface, method: str, path: str, scope: str = ""
) -> ProviderRoute:
    """The route of a percent-encoded path behind `/providers/{name}`.

    Raises NotFound for a path with `.`, `..` or empty parts.
    """
    plain = unquote(path)
    check_path(plain)
    if interface == "azure":
        return _azure_route(provider, method, path, plain)
    if interface == "bedrock":
        return bedrock_route(provider, method, path, plain)
    if interface == "vertex":
        return vertex_route(provider, method, path, plain, scope)
    if interface == "anthropic" and not plain.startswith("/v1/chat/"):
        return anthropic_route(provider, path, method, plain)
    route = openai_route(provider, without_prefix(path, "/v1"), method, without_prefix(plain, "/v1"))
    if interface == "anthropic":
        # Anthropic's address has no version in it.
        return replace(route, path=path)
    return route


def _azure_route(provider: Provider, method: str, path: str, plain: str) -> ProviderRoute:
    """Azure's paths: of a deployment, which is the model, and of its v1 API. They go on unchanged."""
    match = _DEPLOYMENT.fullmatch(path)
    if match is not None:
        rest, model = match[2], match[1]
    else:
        rest, model = without_prefix(without_prefix(plain, "/openai"), "/v1"), ""
    route = openai_route(provider, rest, method, rest)
    # Without the model's name nothing that is billed can be counted.
    return replace(route, path=path, model=model, credential="api-key")


async def locate(request: ProviderRequest, named: NamedProviders) -> ProviderRequest:
    """The request with its provider's interface, and to the provider that its model names.

    Raises NotFound for an unknown provider, and whatever the body raises.
    """
    if request.named:
        found = named.require(request.provider)
        return replace(request, interface=found.interface, scope=found.scope)
    if request.provider != "openai" or request.method != "POST":
        return request

    route = find_route("openai", "POST", request.path, run_mount=request.run_mount)
    if route.kind != "metered":
        return request

    content = request.content
    if content is None:
        request.content = content = b"".join([chunk async for chunk in request.body])
        request.body = once(content)
    # Parsed once: to search a long body for the name of a field costs as much.
    facts = read_request(route, content)
    request.parsed = facts.parsed
    name, _, model = facts.model.partition("/")
    if not model or not facts.parsed or (provider := named.find(name)) is None:
        return request

    located = facts.for_model(model)
    return replace(
        request,
        provider=name,
        interface=provider.interface,
        scope=provider.scope,
        path=path_at(provider, route.path),
        run_mount=False,
        body=once(located.body),
        content=located.body,
        parsed=located.parsed,
        length=len(located.body),
        named=True,
    )


def path_at(provider: NamedProvider, path: str) -> str:
    """The path at a provider for one of OpenAI's, with or without its version."""
    path = without_prefix(path, "/v1")
    if provider.interface == "azure":
        return f"/openai/v1{path}"
    if provider.interface == "bedrock":
        return f"{BEDROCK_OPENAI}{path}"
    if provider.interface == "vertex":
        return f"{VERTEX_OPENAI}{path}"
    if provider.interface == "anthropic":
        # Anthropic serves OpenAI's interface too, below the same version.
        return f"/v1{path}"
    return path


async def once(body: bytes) -> AsyncIterator[bytes]:
    """A body in one piece."""
    yield body
