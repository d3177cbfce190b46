"""Facts of a request that counting and limiting need."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from pydantic_core import from_json, to_json

from codewords_mcp.common.json_parts import object_of, text_of
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.usage import Json

_MODEL_FIELD = re.compile(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')
_STORED = re.compile(
    rb'"(previous_response_id|conversation|file_id|fileData|file_data|fileUri|file_uri|cachedContent|cached_content|container)"\s*:'
)
# Interfaces whose streams report usage only if `stream_options.include_usage` is set.
_USAGE_ON_REQUEST = frozenset({"chat", "completions"})


class RequestFacts(NamedTuple):
    """A request on a billed route.

    `body` is as it was sent; `parsed` is {} if it is no JSON object.

    In a canonical request (`canonical.py`), `body` encodes `parsed` and `media` is its content
    type. `files` counts the files of a form.
    """

    route: ProviderRoute
    body: bytes
    parsed: Json
    model: str
    files: int = 0
    media: bytes = b""

    @property
    def readable(self) -> bool:
        """Whether the request could be parsed."""
        return bool(self.parsed) or bool(self.model)

    @property
    def hides_usage(self) -> bool:
        """Whether its stream would not report usage."""
        if self.route.flavor not in _USAGE_ON_REQUEST or self.parsed.get("stream") is not True:
            return False
        options: Any = self.parsed.get("stream_options")
        return not (isinstance(options, dict) and cast("Json", options).get("include_usage") is True)

    @property
    def names_stored(self) -> bool:
        """Whether it names an object that an earlier call stored at the provider."""
        # A field's name may be spelled with escapes, so such a body is searched in its parsed form.
        if b"\\u" in self.body and self.parsed:
            body = to_json(self.parsed)
        else:
            body = self.body
        return _STORED.search(body) is not None

    def for_model(self, model: str) -> RequestFacts:
        """The same request for another model. Other bytes of the body stay the same if possible."""
        if self.route.model:
            # The last occurrence: a model may be named like a part of the path.
            spelled = self.route.model
            if spelled not in self.route.path:
                spelled = quote(spelled, safe="")
            before, _, after = self.route.path.rpartition(spelled)
            path = before + model + after
            return self._replace(model=model, route=replace(self.route, path=path, model=model))

        def renamed(found: re.Match[bytes]) -> bytes:
            # Not a replacement text, in which backslashes would have a meaning.
            return found[1] + to_json(model)

        named = re.compile(rb'("model"\s*:\s*)' + re.escape(to_json(self.model)))
        if len(named.findall(self.body)) == 1:
            body = named.sub(renamed, self.body)
        else:
            body = to_json(self.parsed | {"model": model})

        return self._replace(model=model, body=body, parsed=self.parsed | {"model": model})

    def body_with_usage(self) -> bytes:
        """The body that also requests usage.

        Other bytes stay the same unless it has stream options.
        """
        if self.parsed.get("stream_options") is None and '"stream_options"' not in self.parsed:
            at = self.body.index(b"{") + 1
            # The name may occur deeper, where an insertion would be a second field to some readers.
            if b'"stream_options"' not in self.body:
                return self.body[:at] + b'"stream_options":{"include_usage":true},' + self.body[at:]
        options: Json = self.parsed.get("stream_options") or {}
        return to_json(self.parsed | {"stream_options": options | {"include_usage": True}})


def read_request(route: ProviderRoute, body: bytes, known: Json | None = None) -> RequestFacts:
    """Read a body:

    JSON, or a form with a `model` field. An unreadable body is left to the provider to refuse. `known` is what an earlier
    reading of the body parsed.
    """
    parsed: Any = known
    if not known and body.lstrip()[:1] == b"{":
        try:
            parsed = from_json(body)
        except ValueError:
            parsed = None

    found = object_of(parsed)
    model: Any = route.model or found.get("model")
    if not model and not found and (field := _MODEL_FIELD.search(body)):
        model = field[1].decode("utf-8", "replace")
    return RequestFacts(route, body, found, text_of(model))
