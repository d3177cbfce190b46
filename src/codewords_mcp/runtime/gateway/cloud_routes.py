"""Routes of Bedrock and Vertex: the model and its publisher are in the path, and its publisher says whose interface it is."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from codewords_mcp.runtime.gateway.providers import Flavor, Kind, ProviderRoute, openai_route
from codewords_mcp.runtime.model.provider import Dialect, Provider

BEDROCK_OPENAI: Final = "/openai/v1"
"""Path of Bedrock's OpenAI-compatible interface."""
VERTEX_OPENAI: Final = "/v1/endpoints/openapi"
"""Path of Vertex's OpenAI-compatible interface, without project and location."""
# Without `;`: servers may drop what follows it, and would call another model than the one that is counted.
_MODEL: Final = re.compile(r"[\w.:/@-]{1,200}", re.ASCII)
_BEDROCK: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|converse|converse-stream)")
_VERTEX: Final = re.compile(r"/(v\w+)/(?:projects/[^/]+/locations/[^/]+/)?(.+)")
_PUBLISHED: Final = re.compile(r"publishers/(google|anthropic)/models/([^/:]+):(\w+)")
_VERTEX_GOOGLE: Final[dict[str, Flavor]] = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "embedContent": "embed",
}
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


def bedrock_route(provider: Provider, method: str, path: str, plain: str) -> ProviderRoute:
    """The route of a path at Bedrock. Anthropic's models are invoked in its own format, all are by Converse."""
    if plain.startswith(f"{BEDROCK_OPENAI}/"):
        rest = plain[len(BEDROCK_OPENAI) :]
        route = openai_route(provider, rest, method, rest)
        return _signed(route.provider, route.dialect, path, route.kind, route.flavor, account=route.account)

    match = _BEDROCK.fullmatch(path) if method == "POST" else None
    model = unquote(match[1]) if match else ""
    flavor: Flavor = ""
    if match and _MODEL.fullmatch(model):
        if match[2].startswith("converse"):
            flavor = "converse"
        elif "anthropic." in model:
            flavor = "messages"
    if flavor:
        return _signed(provider, "anthropic", path, "metered", flavor, model)
    # Other models' formats report what they used in as many ways as there are models.
    return _signed(provider, "anthropic", path, "unmetered", account=match is None)


def vertex_route(provider: Provider, method: str, path: str, plain: str, scope: str) -> ProviderRoute:
    """The route of a path at Vertex, with `scope`, the operator's project and location, in place of the caller's."""
    match = _VERTEX.fullmatch(path)
    if match is None:
        return _signed(provider, "gemini", path, "unmetered", account=True)
    version, rest = match[1], match[2]
    there = f"/{version}/{scope}/{rest}" if scope else f"/{version}/{rest}"

    if rest.startswith("endpoints/openapi/"):
        below = rest[len("endpoints/openapi") :]
        route = openai_route(provider, below, method, unquote(below))
        return _signed(provider, "openai", there, route.kind, route.flavor, account=route.account)

    published = _PUBLISHED.fullmatch(rest) if method == "POST" and plain == path else None
    if published is None:
        reads = method in _READING and rest.startswith("publishers/")
        return _signed(provider, "gemini", there, "free" if reads else "unmetered", account=not reads)

    publisher, model, verb = published.groups()
    if verb == "countTokens" or model == "count-tokens":
        return _signed(provider, "gemini", there, "free")
    if publisher == "anthropic" and verb in {"rawPredict", "streamRawPredict"}:
        return _signed(provider, "anthropic", there, "metered", "messages", model)
    flavor = _VERTEX_GOOGLE.get(verb, "") if publisher == "google" else ""
    return _signed(provider, "gemini", there, "metered" if flavor else "unmetered", flavor, model)


def _signed(
    provider: Provider,
    dialect: Dialect,
    path: str,
    kind: Kind,
    flavor: Flavor = "",
    model: str = "",
    *,
    account: bool = False,
) -> ProviderRoute:
    return ProviderRoute(provider, dialect, path, kind, flavor, model, account, "cloud")
