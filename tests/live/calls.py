"""Small calls of the services themselves: one for each operation that the product uses and that a test may make.

Each needs the variables that its service names. The stand-in gets the same request. E2B has a test of its own,
`python -m codewords_testing.e2b.live`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

Json = dict[str, Any]


@dataclass(frozen=True)
class LiveService:
    """A service: its base URL, and the variables that hold credentials (`secrets`) and what else its calls need (`facts`).

    `headers` are sent with each call, `maps` are names of objects whose fields are named by people.
    """

    name: str
    base: str
    secrets: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    facts: tuple[str, ...] = ()
    maps: frozenset[str] = frozenset()

    @property
    def missing(self) -> list[str]:
        """Variables that are not set."""
        return [name for name in (*self.secrets, *self.facts) if not os.environ.get(name)]

    @property
    def url(self) -> str:
        """The base URL, or another one from `CODEWORDS_LIVE_…_URL`."""
        return os.environ.get(f"CODEWORDS_LIVE_{self.name.upper()}_URL", self.base)


@dataclass(frozen=True)
class LiveCall:
    """One call. `{NAME}` in texts is the value of a variable."""

    service: LiveService
    operation: str
    method: str
    path: str
    body: Any = None

    @property
    def id(self) -> str:
        """Service and operation."""
        return f"{self.service.name}-{self.operation}"


def filled(value: Any, variables: Mapping[str, str]) -> Any:
    """The value with each `{NAME}` in its texts replaced."""
    if isinstance(value, str):
        for name, text in variables.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, Mapping):
        return {name: filled(part, variables) for name, part in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [filled(part, variables) for part in cast("list[Any]", value)]
    return value


OPENAI = LiveService(
    "openai", "https://api.openai.com", ("OPENAI_API_KEY",), {"authorization": "Bearer {OPENAI_API_KEY}"}
)
ANTHROPIC = LiveService(
    "anthropic", "https://api.anthropic.com", ("ANTHROPIC_API_KEY",),
    {"x-api-key": "{ANTHROPIC_API_KEY}", "anthropic-version": "2023-06-01"},
)  # fmt: skip
GEMINI = LiveService(
    "gemini",
    "https://generativelanguage.googleapis.com",
    ("GEMINI_API_KEY",),
    {"x-goog-api-key": "{GEMINI_API_KEY}"},
)
SLACK = LiveService(
    "slack", "https://slack.com", ("SLACK_BOT_TOKEN",), {"authorization": "Bearer {SLACK_BOT_TOKEN}"},
    ("CODEWORDS_LIVE_SLACK_CHANNEL",),
)  # fmt: skip
GITHUB = LiveService(
    "github", "https://api.github.com", ("GITHUB_TOKEN",),
    {"authorization": "Bearer {GITHUB_TOKEN}", "x-github-api-version": "2022-11-28"}, ("CODEWORDS_LIVE_GITHUB_REPOSITORY",),
)  # fmt: skip
GOOGLE = LiveService(
    "google", "https://sheets.googleapis.com", ("GOOGLE_ACCESS_TOKEN",),
    {"authorization": "Bearer {GOOGLE_ACCESS_TOKEN}"}, ("CODEWORDS_LIVE_GOOGLE_SPREADSHEET",),
)  # fmt: skip
AIRTABLE = LiveService(
    "airtable", "https://api.airtable.com", ("AIRTABLE_API_KEY",), {"authorization": "Bearer {AIRTABLE_API_KEY}"},
    ("CODEWORDS_LIVE_AIRTABLE_TABLE",), frozenset({"fields"}),
)  # fmt: skip
NOTION = LiveService(
    "notion", "https://api.notion.com", ("NOTION_TOKEN",),
    {"authorization": "Bearer {NOTION_TOKEN}", "notion-version": "2025-09-03"}, ("CODEWORDS_LIVE_NOTION_DATABASE", "CODEWORDS_LIVE_NOTION_DATA_SOURCE"),
    frozenset({"properties"}),
)  # fmt: skip
HUBSPOT = LiveService(
    "hubspot", "https://api.hubapi.com", ("HUBSPOT_ACCESS_TOKEN",), {"authorization": "Bearer {HUBSPOT_ACCESS_TOKEN}"},
    maps=frozenset({"properties"}),
)  # fmt: skip
WHATSAPP = LiveService(
    "whatsapp", "https://graph.facebook.com/v23.0", ("WHATSAPP_ACCESS_TOKEN",),
    {"authorization": "Bearer {WHATSAPP_ACCESS_TOKEN}"},
    ("CODEWORDS_LIVE_WHATSAPP_PHONE_NUMBER_ID", "CODEWORDS_LIVE_WHATSAPP_TO"),
)  # fmt: skip
HUNTER = LiveService(
    "hunter", "https://api.hunter.io/v2", ("HUNTER_API_KEY",), {"x-api-key": "{HUNTER_API_KEY}"}
)
SEARCHAPI = LiveService(
    "searchapi",
    "https://www.searchapi.io/api/v1",
    ("SEARCHAPI_API_KEY",),
    {"authorization": "Bearer {SEARCHAPI_API_KEY}"},
)
PIPEDREAM = LiveService(
    "pipedream", "https://api.pipedream.com", ("PIPEDREAM_CLIENT_ID", "PIPEDREAM_CLIENT_SECRET"),
)  # fmt: skip

_HELLO = [{"role": "user", "content": "Say hello."}]
_PAGE = {
    "parent": {"data_source_id": "{CODEWORDS_LIVE_NOTION_DATA_SOURCE}"},
    "properties": {"title": {"title": [{"text": {"content": "A page of the live tests"}}]}},
}
_SEARCH = {
    "sorts": [{"propertyName": "createdate", "direction": "DESCENDING"}],
    "limit": 1,
    "properties": ["email"],
}
_TEXT = {
    "messaging_product": "whatsapp", "to": "{CODEWORDS_LIVE_WHATSAPP_TO}", "type": "text", "text": {"body": "Live tests"},
}  # fmt: skip
_CHAT: Json = {"model": "gpt-4o-mini", "messages": _HELLO, "max_completion_tokens": 16}
_RESPONSE: Json = {"model": "gpt-4o-mini", "input": "Say hello.", "max_output_tokens": 16}
_MESSAGE: Json = {"model": "claude-haiku-4-5", "messages": _HELLO, "max_tokens": 16}
_CONTENT = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
_MODEL = "/v1beta/models/gemini-2.5-flash"
CALLS = (
    LiveCall(OPENAI, "models.list", "GET", "/v1/models"),
    LiveCall(OPENAI, "chat.completions.create", "POST", "/v1/chat/completions", _CHAT),
    LiveCall(
        OPENAI, "chat.completions.stream", "POST", "/v1/chat/completions",
        _CHAT | {"stream": True, "stream_options": {"include_usage": True}},
    ),
    LiveCall(OPENAI, "responses.create", "POST", "/v1/responses", _RESPONSE),
    LiveCall(OPENAI, "responses.stream", "POST", "/v1/responses", _RESPONSE | {"stream": True}),
    LiveCall(OPENAI, "embeddings.create", "POST", "/v1/embeddings", {"model": "text-embedding-3-small", "input": "hello"}),
    LiveCall(ANTHROPIC, "models.list", "GET", "/v1/models"),
    LiveCall(ANTHROPIC, "messages.create", "POST", "/v1/messages", _MESSAGE),
    LiveCall(ANTHROPIC, "messages.stream", "POST", "/v1/messages", _MESSAGE | {"stream": True}),
    LiveCall(
        ANTHROPIC, "messages.count_tokens", "POST", "/v1/messages/count_tokens",
        {name: _MESSAGE[name] for name in ("model", "messages")},
    ),
    LiveCall(GEMINI, "models.list", "GET", "/v1beta/models"),
    LiveCall(GEMINI, "generateContent", "POST", f"{_MODEL}:generateContent", _CONTENT),
    LiveCall(GEMINI, "streamGenerateContent", "POST", f"{_MODEL}:streamGenerateContent?alt=sse", _CONTENT),
    LiveCall(GEMINI, "countTokens", "POST", f"{_MODEL}:countTokens", _CONTENT),
    LiveCall(
        GEMINI, "embedContent", "POST", "/v1beta/models/gemini-embedding-001:embedContent",
        {"content": {"parts": [{"text": "hello"}]}},
    ),
    LiveCall(
        SLACK, "chat.postMessage", "POST", "/api/chat.postMessage",
        {"channel": "{CODEWORDS_LIVE_SLACK_CHANNEL}", "text": "Live tests"},
    ),
    LiveCall(GITHUB, "events", "GET", "/repos/{CODEWORDS_LIVE_GITHUB_REPOSITORY}/events?per_page=30&page=1"),
    LiveCall(GITHUB, "issues.create", "POST", "/repos/{CODEWORDS_LIVE_GITHUB_REPOSITORY}/issues", {"title": "Live tests"}),
    LiveCall(GOOGLE, "values.get", "GET", "/v4/spreadsheets/{CODEWORDS_LIVE_GOOGLE_SPREADSHEET}/values/A1:Z9"),
    LiveCall(AIRTABLE, "records.list", "GET", "/v0/{CODEWORDS_LIVE_AIRTABLE_TABLE}?pageSize=1"),
    LiveCall(
        NOTION, "dataSources.query", "POST", "/v1/data_sources/{CODEWORDS_LIVE_NOTION_DATA_SOURCE}/query",
        {"sorts": [{"timestamp": "created_time", "direction": "descending"}], "page_size": 1},
    ),
    LiveCall(NOTION, "databases.get", "GET", "/v1/databases/{CODEWORDS_LIVE_NOTION_DATABASE}"),
    LiveCall(NOTION, "pages.create", "POST", "/v1/pages", _PAGE),
    LiveCall(HUBSPOT, "contacts.search", "POST", "/crm/v3/objects/contacts/search", _SEARCH),
    LiveCall(WHATSAPP, "messages", "POST", "/{CODEWORDS_LIVE_WHATSAPP_PHONE_NUMBER_ID}/messages", _TEXT),
    LiveCall(HUNTER, "account", "GET", "/account"),
    LiveCall(HUNTER, "domain-search", "GET", "/domain-search?domain=hunter.io&limit=1"),
    LiveCall(SEARCHAPI, "search", "GET", "/search?engine=google&q=hello"),
    LiveCall(
        PIPEDREAM, "oauth.token", "POST", "/v1/oauth/token",
        {"grant_type": "client_credentials", "client_id": "{PIPEDREAM_CLIENT_ID}",
         "client_secret": "{PIPEDREAM_CLIENT_SECRET}"},
    ),
)  # fmt: skip
