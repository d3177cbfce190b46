"""Addresses of realtime sessions, as the SDKs open them, and where they lead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import urlencode

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.gateway.named_providers import NamedProvider, NamedProviders
from codewords_mcp.runtime.gateway.named_routes import path_at
from codewords_mcp.runtime.gateway.providers import Flavor, ProviderRoute, without_prefix
from codewords_mcp.runtime.model.provider import Provider

RealtimeKind = Literal["responses", "transcription", "translation", "live"]
"""`live` is Gemini's; the others are OpenAI's and of those that speak like it."""
MODEL: Final = re.compile(r"[\w.:/-]{1,200}", re.ASCII)
_OPENAI: Final[Mapping[str, RealtimeKind]] = {
    "/realtime": "responses",
    "/realtime/translations": "translation",
}
_FLAVORS: Final[Mapping[RealtimeKind, Flavor]] = {"transcription": "transcribe", "live": "live"}
_GEMINI: Final = re.compile(
    r"/ws/google\.ai\.generativelanguage\.v1\w{0,20}\.GenerativeService\.BidiGenerateContent", re.ASCII
)
_VERTEX: Final = re.compile(
    r"/ws/google\.cloud\.aiplatform\.v1\w{0,20}\.LlmBidiService/BidiGenerateContent", re.ASCII
)
_VERSION: Final = re.compile(r"[\w.-]{1,40}", re.ASCII)


@dataclass(frozen=True, slots=True)
class RealtimeAddress:
    """A session to open. `query` goes on to the provider; `scope` is Vertex's project and location.

    `route.model` is "" where the first messages name the model.
    """

    kind: RealtimeKind
    route: ProviderRoute
    query: str = ""
    scope: str = ""


def find_address(
    provider: Provider, path: str, query: Mapping[str, str], named: NamedProviders
) -> RealtimeAddress:
    """The session behind a path below a provider's mount, decoded, and its query.

    Raises NotFound for a path where no session is opened, and for an unknown provider; InvalidInput for a query that names
    no model, or anything whose cost could not be told.
    """
    if provider == "gemini":
        return _live(provider, path, _GEMINI)
    if provider == "openai":
        return _openai(without_prefix(path, "/v1"), query, named)

    found = named.require(provider)
    if found.interface == "vertex":
        return replace(_live(provider, path, _VERTEX), scope=found.scope)
    if found.interface == "azure":
        below = without_prefix(without_prefix(path, "/openai"), "/v1")
        return _compatible(found, below, path, query)
    if found.interface == "openai":
        below = without_prefix(path, "/v1")
        return _compatible(found, below, below, query)
    raise _no_session()


def _live(provider: Provider, path: str, pattern: re.Pattern[str]) -> RealtimeAddress:
    if not pattern.fullmatch(path):
        raise _no_session()
    credential = "cloud" if pattern is _VERTEX else ""
    return RealtimeAddress(
        "live", ProviderRoute(provider, "gemini", path, "metered", "live", credential=credential)
    )


def _openai(path: str, query: Mapping[str, str], named: NamedProviders) -> RealtimeAddress:
    prefix, _, model = query.get("model", "").partition("/")
    provider = named.find(prefix) if model else None
    if provider is None:
        return _session("openai", path, path, query)
    if provider.interface not in {"openai", "azure"}:
        raise _no_session()
    return _compatible(provider, path, path_at(provider, path), {**query, "model": model})


def _compatible(provider: NamedProvider, below: str, path: str, query: Mapping[str, str]) -> RealtimeAddress:
    address = _session(provider.name, below, path, query)
    if provider.interface != "azure":
        return address
    return replace(address, route=replace(address.route, credential="api-key"))


def _session(provider: Provider, below: str, path: str, query: Mapping[str, str]) -> RealtimeAddress:
    """A session in OpenAI's way. `below` is its path without whatever comes before `/realtime`."""
    kind = _OPENAI.get(below)
    if kind is None:
        raise _no_session()
    rest = dict(query)
    # Azure's older form calls its model so.
    names = [rest[name] for name in ("model", "deployment") if name in rest]
    if rest.get("intent") == "transcription" and kind == "responses":
        kind = "transcription"
    # What else an address may hold, such as a call that runs already, is billed by what it does not say.
    unknown = (
        rest.keys()
        - {"model", "deployment", "api-version"}
        - ({"intent"} if kind == "transcription" else set())
    )
    named_once = len(names) <= 1 and (names or kind == "transcription")
    if unknown or not named_once or not all(map(MODEL.fullmatch, names)):
        raise InvalidInput(
            "A realtime session names its model in its address, and nothing else.",
            hint="Connect with `?model=gpt-realtime`, as the SDK does, or with `?intent=transcription`.",
        )
    if not _VERSION.fullmatch(rest.get("api-version", "1")):
        raise InvalidInput("The `api-version` of this address is none.")
    route = ProviderRoute(
        provider, "openai", path, "metered", _FLAVORS.get(kind, "realtime"), names[0] if names else ""
    )
    return RealtimeAddress(kind, route, urlencode(rest))


def _no_session() -> NotFound:
    return NotFound(
        "No realtime session is opened at this address.",
        hint="OpenAI's SDK opens /realtime below its base URL, Google's a Live session below /gemini/ws/.",
    )
