"""What a request asks for, as far as counting and limiting it need to know."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic_core import from_json, to_json

from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.usage import Json

_MODEL_FIELD = re.compile(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')
_STORED = re.compile(
    rb'"(previous_response_id|conversation|file_id|fileData|file_data|fileUri|file_uri|cachedContent|cached_content|container)"\s*:'
)
_TELLS_USAGE = frozenset({"chat", "completions"})
"""Interfaces whose streams tell usage only where `stream_options.include_usage` asks for it."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """A request on a route that costs. `body` is as it was sent; `parsed` is {} where it is no JSON object.

    Of one whose meaning was settled (`canonical.py`), `body` is what `parsed` says and `media` its content type; `files`
    counts those in a form.
    """

    route: ProviderRoute
    body: bytes
    parsed: Json
    model: str
    files: int = 0
    media: bytes = b""

    @property
    def readable(self) -> bool:
        """Whether it says what it asks for."""
        return bool(self.parsed) or bool(self.model)

    @property
    def hides_usage(self) -> bool:
        """Whether its stream would not tell what it used."""
        if self.route.flavor not in _TELLS_USAGE or self.parsed.get("stream") is not True:
            return False
        options: Any = self.parsed.get("stream_options")
        return not (isinstance(options, dict) and cast("Json", options).get("include_usage") is True)

    @property
    def names_stored(self) -> bool:
        """Whether it is about something that an earlier call left at the provider."""
        # a name may be spelled with escapes: then it is looked for in what the body means
        if b"\\u" in self.body and self.parsed:
            body = to_json(self.parsed)
        else:
            body = self.body
        return _STORED.search(body) is not None

    def of(self, model: str) -> RequestFacts:
        """The same, asked of another model; every other byte of the body stays where that can be."""
        if self.route.model:
            at = self.route.path.rindex(self.route.model)
            path = self.route.path[:at] + model + self.route.path[at + len(self.route.model) :]
            return replace(self, model=model, route=replace(self.route, path=path, model=model))

        named = re.compile(rb'("model"\s*:\s*)' + re.escape(to_json(self.model)))
        if len(named.findall(self.body)) == 1:
            body = named.sub(lambda found: found[1] + to_json(model), self.body)
        else:
            body = to_json(self.parsed | {"model": model})

        return replace(self, model=model, body=body, parsed=self.parsed | {"model": model})

    def telling(self) -> bytes:
        """The body that also asks for usage; every other byte stays, where the options were not given."""
        if self.parsed.get("stream_options") is None and '"stream_options"' not in self.parsed:
            at = self.body.index(b"{") + 1
            if b'"stream_options"' not in self.body:
                return self.body[:at] + b'"stream_options":{"include_usage":true},' + self.body[at:]
        options: Json = self.parsed.get("stream_options") or {}
        return to_json(self.parsed | {"stream_options": options | {"include_usage": True}})


def read_request(route: ProviderRoute, body: bytes) -> RequestFacts:
    """Read a body: JSON, or a form with a `model` field. What it cannot read is the provider's to refuse."""
    parsed: Any = None
    if body.lstrip()[:1] == b"{":
        try:
            parsed = from_json(body)
        except ValueError:
            parsed = None

    if isinstance(parsed, dict):
        found = cast("Json", parsed)
    else:
        found = {}

    model: Any = route.model or found.get("model")
    if not model and not found and (field := _MODEL_FIELD.search(body)):
        model = field[1].decode("utf-8", "replace")
    return RequestFacts(route, body, found, model if isinstance(model, str) else "")
