"""Headers that cross the gateway: all except connection headers, those between caller and runtime,
and keys.
"""

from __future__ import annotations

import re

from codewords_mcp.runtime.gateway.providers import ProviderRoute

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_OURS = frozenset(
    {
        b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-codewords-api-key", b"x-correlation-id",
        b"x-provisioned-request-id", b"x-request-id", b"idempotency-replay", b"codewords-caller-id",
        b"codewords-dry-run", b"run-as-template",
        b"x-codewords-cache",
    }
)  # fmt: skip
# Where a call comes from is not the provider's concern.
_ABOUT_CALLER = frozenset(
    {
        b"host", b"cookie", b"origin", b"referer", b"forwarded", b"x-forwarded-for", b"x-forwarded-host",
        b"x-forwarded-proto", b"x-real-ip",
    }
)  # fmt: skip
# With these a GET would be a POST to the provider, and pass as free of charge.
_METHOD_OVERRIDES = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
# Usage is read from the response, so no compression is requested. A provider that compresses all
# the same is relayed unchanged, and decompressed only to be read.
_DROPPED_INWARD = (
    _HOP_BY_HOP
    | _OURS
    | _ABOUT_CALLER
    | _METHOD_OVERRIDES
    | {b"accept-encoding", b"content-length", b"expect"}
)
# Cookies and rules of transport would apply to the runtime's host, which is not the provider's.
_DROPPED_OUTWARD = _HOP_BY_HOP | {
    b"date", b"server", b"set-cookie", b"alt-svc", b"strict-transport-security",
    b"x-codewords-model", b"x-codewords-instead-of", b"x-codewords-cache", b"x-codewords-price",
}  # fmt: skip
_OF_BODY = frozenset({b"content-type", b"content-encoding"})
# Anthropic API version from which its SDK sends the key as a bearer token (anthropic 2.0).
_BEARER_SINCE = b"2026-10-21"
_KEY_PARAMETER = re.compile(rb"(^|&)key=[^&]*")


def to_provider(headers: Headers, route: ProviderRoute, key: bytes, *, media: bytes = b"") -> Headers:
    """The caller's headers without the body's size, with the provider's key in the header that it
    expects.

    `media` replaces the caller's content type, for a body that was rewritten.
    """
    forwarded = [*of_caller(headers), (b"accept-encoding", b"identity")]
    if media:
        forwarded = [pair for pair in forwarded if pair[0] not in _OF_BODY]
        forwarded.append((b"content-type", media))
    # A server of one's own may need no key, and a cloud's request is signed when it is whole.
    if key and route.credential != "cloud":
        forwarded.append(_credential(headers, route, key))
    return forwarded


def of_caller(headers: Headers) -> Headers:
    """The caller's headers without keys and connection headers."""
    named = _named_by_connection(headers)
    return [pair for pair in headers if pair[0] not in _DROPPED_INWARD and pair[0] not in named]


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    for name, value in headers:
        if name == b"connection" and value.lower() not in {b"keep-alive", b"close"}:
            return frozenset(part.strip().lower() for part in value.split(b","))
    return frozenset()


def _credential(headers: Headers, route: ProviderRoute, key: bytes) -> tuple[bytes, bytes]:
    if route.credential:
        return route.credential.encode(), key
    if route.dialect == "openai":
        return b"authorization", b"Bearer " + key
    if route.provider == "gemini":
        return b"x-goog-api-key", key
    # Anthropic's SDKs changed the header with a version of the API.
    received = dict(headers)
    if b"authorization" in received and received.get(b"anthropic-version", b"") >= _BEARER_SINCE:
        return b"authorization", b"Bearer " + key
    return b"x-api-key", key


def to_caller(received: Headers, *, edited: bool) -> Headers:
    """The provider's headers. `edited`: the body may lose bytes, so its length is dropped."""
    return [
        pair
        for pair in received
        if pair[0] not in _DROPPED_OUTWARD and not (edited and pair[0] == b"content-length")
    ]


def without_key(query: bytes) -> bytes:
    """The query without `key=`, in which Gemini's REST callers send their key."""
    if b"key=" in query:
        return _KEY_PARAMETER.sub(b"", query).lstrip(b"&")
    return query
