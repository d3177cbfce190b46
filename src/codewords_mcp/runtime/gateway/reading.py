"""Facts that are read from a provider's response, and the reading of each flavor's JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, cast

from pydantic_core import from_json

from codewords_mcp.common.json_parts import object_of, text_of
from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.usage import Json, Tokens, read_usage

MAX_EVENT_BYTES = 32 << 20
"""Bytes of an event of a stream. A longer one is not read."""
_USAGE = re.compile(r'"(?:usage|usageMetadata)"\s*:\s*(?=\{)')


@dataclass(slots=True)
class Reading:
    """Facts read from a response.

    `tokens` is None without a usage report; `events` counts events, for an estimate.

    `whole`: the final usage report has passed. A stream that ended early may have an early report
    only.
    """

    model: str = ""
    tier: str = ""
    tokens: Tokens | None = None
    events: int = 0
    whole: bool = False
    response: Json = field(default_factory=Json)
    """Object that holds the usage report and the finish reason."""
    failure: str = ""
    """The provider's name for an error inside the stream. Set for observed calls."""
    body: bytes = b""
    """The response itself, if it is captured."""


def parsed(data: bytes) -> object:
    """JSON as an object of Python; None for what is none."""
    if not data:
        return None
    try:
        return from_json(data)
    except ValueError:
        return None


def merged(first: Json, last: Json) -> Json:
    """Merge Anthropic's first event, with input and cache tokens, and its last, with the total
    output.
    """
    message = object_of(first.get("message"))
    final = {name: value for name, value in object_of(last.get("usage")).items() if value is not None}
    if not message:
        return last
    return message | object_of(last.get("delta")) | {"usage": object_of(message.get("usage")) | final}


def is_finished(event: Json) -> bool:
    """Whether an event of Gemini ends its response."""
    candidates: Any = event.get("candidates")
    return isinstance(candidates, list) and any(
        "finishReason" in object_of(candidate) for candidate in cast("list[Any]", candidates)
    )


def usage_at_the_end(data: bytes) -> Json:
    """The last usage object in the end of a long response."""
    # The end of a response may begin within a character.
    text = data.decode("utf-8", "replace")
    found = list(_USAGE.finditer(text))
    if not found:
        return {}

    import json

    try:
        # Text follows the object, at which `loads` would fail.
        usage, _ = json.JSONDecoder().raw_decode(text, found[-1].end())
    except (ValueError, RecursionError):
        return {}

    return {"usage": usage, "usageMetadata": usage}


def reading_of(flavor: Flavor, response: Json) -> Reading:
    """The facts of an object that holds a usage report."""
    usage = object_of(response.get("usageMetadata" if flavor in {"generate", "embed"} else "usage"))
    # Groq's streams report it in a field of their own, where it is not asked for.
    usage = usage or object_of(object_of(response.get("x_groq")).get("usage"))
    model = response.get("model") or response.get("modelVersion")
    if flavor == "messages":
        tier = usage.get("speed")
    else:
        tier = response.get("service_tier")

    tokens = read_usage(flavor, usage) if usage else None
    return Reading(
        text_of(model),
        tier if isinstance(tier, str) and tier not in {"auto", "standard"} else "",
        tokens,
        whole=tokens is not None,
        response=response,
    )


def failure_name(event: Json) -> str:
    """The name of an error, of any provider."""
    error = object_of(event.get("error")) or object_of(object_of(event.get("response")).get("error")) or event
    if isinstance(error.get("code"), str):
        name = error.get("code")
    else:
        name = error.get("status") or error.get("type")
    if isinstance(name, str) and name:
        return name
    return "error"
