"""Routes of providers: the upstream path of a request, and its kind: metered, free or unmetered.

Paths come as the SDKs send them with the base URLs of the wire contract: OpenAI's with or without
`/v1`, Anthropic's and Gemini's with their version. `/run/gemini/v1/…` is Google's OpenAI-compatible
interface.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

from codewords_mcp.errors import NotFound
from codewords_mcp.runtime.model.provider import Dialect, Provider
from codewords_mcp.settings import Settings

Kind = Literal["metered", "free", "unmetered"]
"""`unmetered` spends money that no response states: batches, fine-tuning, video.

A budget refuses it.
"""
Flavor = Literal[
    "chat",
    "completions",
    "responses",
    "embeddings",
    "images",
    "audio",
    "messages",
    "generate",
    "embed",
    "converse",
    "realtime",
    "transcribe",
    "live",
    "",
]
SESSIONS: Final[frozenset[Flavor]] = frozenset({"realtime", "transcribe", "live"})
"""Responses, or what was heard, of realtime sessions. `live` is Gemini's."""

Credential = Literal["", "api-key", "cloud"]
"""The header of the provider's key; "" for that of the dialect. A cloud's request is signed."""

COMPATIBLE = "/v1beta/openai"
"""Path of Google's OpenAI-compatible interface."""

_OPENAI: dict[str, Flavor] = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/responses": "responses",
    "/responses/compact": "responses",
    "/embeddings": "embeddings",
    "/images/generations": "images",
    "/images/edits": "images",
    "/images/variations": "images",
    "/audio/transcriptions": "audio",
    "/audio/translations": "audio",
}
_OPENAI_FREE = re.compile(r"/(files|uploads)(/.*)?|/moderations|/responses/input_tokens|.+/cancel")
_ANTHROPIC_FREE = re.compile(r"/v1/(messages/count_tokens|files(/.*)?|.+/cancel)")
_GEMINI_FREE = re.compile(r"/upload/.+|/v\w+/files(/.*)?|.+:(countTokens|cancel)")
_GEMINI_VERB = re.compile(r"/v\w+/(?:models|tunedModels|publishers/google/models)/([^/:]+):(\w+)")
_GEMINI: dict[str, Flavor] = {
    "generateContent": "generate",
    "streamGenerateContent": "generate",
    "embedContent": "embed",
    "batchEmbedContents": "embed",
}
_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
# Requests to models, or that store an object under a new name.
_MODEL_POSTS: dict[Dialect, re.Pattern[str]] = {
    "openai": re.compile(
        r"/(moderations|responses/(input_tokens|[^/]+/cancel)|audio/speech|realtime/.+|files|uploads(/.+)?|videos)"
    ),
    "anthropic": re.compile(r"/v1/(messages/count_tokens|files)"),
    "gemini": re.compile(r"/upload/.+|/v\w+/files|/v\w+/(models|publishers/google/models)/[^/:]+:\w+"),
}
# Reads by an id that only its creator knows, and reads of the provider's own models.
_MODEL_READS: dict[Dialect, re.Pattern[str]] = {
    "openai": re.compile(
        r"/(responses/[^/]+(/input_items)?|files/[^/]+|models/[^/]+|videos/[^/]+(/content)?|realtime/.+)"
    ),
    "anthropic": re.compile(r"/v1/(models(/[^/]+)?|files/[^/]+)"),
    "gemini": re.compile(r"/v\w+/(models(/[^/:]+(/operations/[^/:]+)?)?|files/[^/:]+)"),
}


@dataclass(frozen=True, slots=True)
class ProviderRoute:
    """Route of a call.

    `model` is set only if the path names it. `dialect` is the format of its errors.
    """

    provider: Provider
    dialect: Dialect
    path: str
    kind: Kind
    flavor: Flavor = ""
    model: str = ""
    account: bool = False
    """It lists, reads, changes or deletes objects of the provider's account, which all owners of
    the home share.
    """
    credential: Credential = ""


@lru_cache(maxsize=1024)
def find_route(provider: Provider, method: str, path: str, *, run_mount: bool) -> ProviderRoute:
    """The route of a percent-encoded path, behind `/openai` or `/run/openai` (`run_mount`).

    Raises NotFound for a path with `.`, `..` or empty parts: servers normalize them differently.
    """
    # Judged as servers read it: `%2e%2e` is a dotted part as well.
    plain = unquote(path)
    check_path(plain)
    if provider == "openai":
        rest = without_prefix(path, "/v1")
        return openai_route("openai", rest, method, without_prefix(plain, "/v1"))
    if provider == "anthropic":
        return anthropic_route("anthropic", path, method, plain)

    return _gemini_route(path, method, plain, run_mount=run_mount)


def check_path(plain: str) -> None:
    """Check a path without percent-encoding. Raises NotFound for `.`, `..`, empty parts and backslashes."""
    if (
        any(part in {"", ".", ".."} for part in plain.split("/")[1:-1])
        or "\\" in plain
        or plain.endswith(("/.", "/.."))
    ):
        raise NotFound(
            "A path at a provider has no empty or dotted parts.", hint="Send the path as the SDK does."
        )


def without_prefix(path: str, prefix: str) -> str:
    """The path below a prefix; the path itself if it is elsewhere."""
    if path == prefix or path.startswith(prefix + "/"):
        return path[len(prefix) :] or "/"
    return path


def openai_route(provider: Provider, path: str, method: str, plain: str) -> ProviderRoute:
    """The route of a path below OpenAI's version, at a provider with that interface."""
    if method == "POST":
        flavor = _OPENAI.get(plain, "")
    else:
        flavor = ""
    kind = _kind(method, flavor, free=bool(_OPENAI_FREE.fullmatch(plain)))
    return ProviderRoute(
        provider, "openai", path, kind, flavor, account=_of_account("openai", method, flavor, plain)
    )


def anthropic_route(provider: Provider, path: str, method: str, plain: str) -> ProviderRoute:
    """The route of a path with Anthropic's version, at a provider with that interface."""
    flavor: Flavor = "messages" if method == "POST" and plain == "/v1/messages" else ""
    return ProviderRoute(
        provider,
        "anthropic",
        path,
        _kind(method, flavor, free=bool(_ANTHROPIC_FREE.fullmatch(plain))),
        flavor,
        account=_of_account("anthropic", method, flavor, plain),
    )


def _gemini_route(path: str, method: str, plain: str, *, run_mount: bool) -> ProviderRoute:
    if plain.startswith(COMPATIBLE + "/"):
        return _compatible(path[len(COMPATIBLE) :], method, plain[len(COMPATIBLE) :])

    # Gemini's own paths below /v1 name a verb behind a colon.
    under_v1 = without_prefix(plain, "/v1")
    if under_v1 != plain and ":" not in plain and (run_mount or under_v1 in _OPENAI):
        return _compatible(without_prefix(path, "/v1"), method, under_v1)

    if method == "POST":
        match = _GEMINI_VERB.fullmatch(plain)
    else:
        match = None

    flavor: Flavor = _GEMINI.get(match[2], "") if match else ""
    kind = _kind(method, flavor, free=bool(_GEMINI_FREE.fullmatch(plain)))
    account = _of_account("gemini", method, flavor, plain)

    return ProviderRoute("gemini", "gemini", path, kind, flavor, match[1] if match else "", account=account)


def _compatible(path: str, method: str, plain: str) -> ProviderRoute:
    route = openai_route("gemini", path, method, plain)
    return ProviderRoute(
        "gemini", "openai", COMPATIBLE + path, route.kind, route.flavor, account=route.account
    )


def _kind(method: str, flavor: Flavor, *, free: bool) -> Kind:
    if flavor:
        return "metered"
    if free or method in _READING:
        return "free"
    return "unmetered"


def _of_account(dialect: Dialect, method: str, flavor: Flavor, plain: str) -> bool:
    if flavor:
        return False
    known = {"POST": _MODEL_POSTS, "PUT": _MODEL_POSTS, "GET": _MODEL_READS, "HEAD": _MODEL_READS}.get(method)
    return known is None or known[dialect].fullmatch(plain) is None


def base_urls(settings: Settings) -> dict[Provider, str]:
    """Base URL of each provider, without a trailing slash, so that a route's path can be appended."""
    openai = settings.openai_base_url.rstrip("/")
    # The two of "://": there is no path.
    if openai.count("/") == 2:
        openai += "/v1"
    return {
        "openai": openai,
        "anthropic": settings.anthropic_base_url.rstrip("/").removesuffix("/v1"),
        "gemini": settings.gemini_base_url.rstrip("/").removesuffix(COMPATIBLE).removesuffix("/v1beta"),
    }
