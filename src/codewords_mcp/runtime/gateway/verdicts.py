"""What may be done about a provider's error answer, by that provider's own rules.

Repeated are 408, 409, 429 and 5xx, as OpenAI's and Anthropic's SDKs do unless `x-should-retry` says otherwise, and Google's
where it is told to; what an exhausted quota answers is not. None of these is billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from pydantic_core import from_json

from codewords_mcp.runtime.gateway.http_connection import ProviderResponse
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.usage import Json

LARGEST = 64 << 10
"""Bytes of an error answer that are read before it is judged."""
_DOWN = frozenset({502, 503, 504, 529})
_BY_MODEL = frozenset({"messages", "generate", "embed", "chat", "completions", "embeddings"})
_SPENT = 60.0
"""Seconds that a key is left alone whose account has nothing left, or that is not valid."""
_LIMITED = 5.0
"""Seconds that a key is left alone whose provider does not say for how long."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`again`: the same may help later, after so many seconds where the provider says; `other_key`, `other_model`: so may
    another; `rest`: seconds to leave this key alone; `down`: the model's provider fails.
    """

    again: bool = False
    after: float | None = None
    other_key: bool = False
    other_model: bool = False
    rest: float = 0.0
    down: bool = False


FINE = Verdict()


def judge(route: ProviderRoute, answer: ProviderResponse, body: bytes) -> Verdict:
    """The verdict on an answer; `body` is empty where it was too long to be read."""
    status = answer.status
    if status < 400:
        return FINE

    told = _object(body)
    after = when_to_return(answer, told)
    if status in {401, 403}:
        return Verdict(other_key=True, rest=_SPENT if status == 401 else 0.0)
    if status == 402 or (status == 429 and _is_spent(told)):
        return Verdict(other_key=True, other_model=True, rest=_SPENT)

    wish = answer.header(b"x-should-retry")
    again = wish == "true" or (wish != "false" and (status in {408, 409, 429} or status >= 500))
    if status == 429:
        return Verdict(again, after, other_key=True, other_model=True, rest=after or _LIMITED)
    if status == 404:
        return Verdict(other_model=_lacks_model(route, told))

    return Verdict(again, after, other_model=status >= 500, down=status in _DOWN)


def _object(body: bytes) -> Json:
    try:
        parsed: Any = from_json(body) if body else None
    except ValueError:
        return {}
    if isinstance(parsed, list) and parsed:  # Gemini's streams tell an error as a list of one
        parsed = cast("list[Any]", parsed)[0]
    found: Any = cast("Json", parsed).get("error") if isinstance(parsed, dict) else None
    if isinstance(found, dict):
        return cast("Json", found)
    return {}


def _is_spent(error: Json) -> bool:
    """Whether a 429 is of an account that waiting does not fill: OpenAI's quota, Gemini's of a day."""
    if "insufficient_quota" in {error.get("code"), error.get("type")}:
        return True
    return any(
        "PerDay" in str(violation.get("quotaId", ""))
        for detail in _details(error)
        for violation in _items(detail.get("violations"))
    )


def _lacks_model(route: ProviderRoute, error: Json) -> bool:
    return error.get("code") == "model_not_found" or route.flavor in _BY_MODEL


def when_to_return(answer: ProviderResponse, error: Json) -> float | None:
    """Seconds until the provider wants to be asked again, by its headers or, in Gemini's manner, its error."""
    for header, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        value = answer.header(header)
        seconds = _number(value)
        if seconds is not None:
            return seconds / unit
        if value and header == b"retry-after":
            return _until(value)

    for detail in _details(error):
        delay = detail.get("retryDelay")
        if isinstance(delay, str) and (seconds := _number(delay.removesuffix("s"))) is not None:
            return seconds

    return None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if 0 <= value < float("inf"):
        return value
    return None


def _until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _details(error: Json) -> list[Json]:
    return _items(error.get("details"))


def _items(value: Any) -> list[Json]:
    if isinstance(value, list):
        listed = cast("list[Any]", value)
    else:
        listed = []
    return [cast("Json", item) for item in listed if isinstance(item, dict)]
