"""Upstreams of library services."""

from __future__ import annotations

from codewords_testing.fidelity.operation import ApiOperation, DescribedService, DescriptionSource
from codewords_testing.fidelity.shapes import SchemaShape, Undescribed

_NOTHING = Undescribed("nothing is published for machines")
WHATSAPP = DescribedService(
    "whatsapp",
    "WhatsApp Cloud API",
    DescriptionSource("Meta's OpenAPI document of business messaging", "v23.0", "2025-11", "MIT"),
    (ApiOperation("messages", "POST", "/[0-9]+/messages", SchemaShape("written", "WhatsAppMessage")),),
    SchemaShape("written", "WhatsAppError"),
    "a schema written by hand after the document: every field and its type; an unknown field is refused",
    "The document is in no package registry, so no test notices a newer one. Webhook bodies are not compared.",
)
REDDIT = DescribedService(
    "reddit",
    "Reddit",
    None,
    (
        ApiOperation(
            "access_token", "POST", "/api/v1/access_token", SchemaShape("written", "OAuthTokenOrError")
        ),
        ApiOperation("listing", "GET", ".*", _NOTHING),
    ),
    SchemaShape("written", "RedditError"),
    "tokens by RFC 6749; listings not at all",
    "Listings were written after the documentation for people.",
)
HUNTER = DescribedService(
    "hunter",
    "Hunter",
    None,
    (ApiOperation("v2", "GET", ".*", _NOTHING, statuses=(200, 202, 222)),),
    _NOTHING,
    "nothing but that a reply is JSON",
    "Replies were written after the documentation for people.",
)
SEARCHAPI = DescribedService(
    "searchapi",
    "SearchApi",
    None,
    (ApiOperation("search", "GET", "/search", _NOTHING),),
    _NOTHING,
    "nothing but that a reply is JSON",
    "Replies were written after the documentation for people.",
)
SEARXNG = DescribedService(
    "searxng",
    "SearXNG",
    None,
    (ApiOperation("search", "GET", "/search", _NOTHING),),
    _NOTHING,
    "nothing",
    "Replies were written after the documentation for people.",
)
SERVICES = (WHATSAPP, REDDIT, HUNTER, SEARCHAPI, SEARXNG)
