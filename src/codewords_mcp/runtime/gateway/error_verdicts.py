"""Decides how to continue after a provider's error response, by that provider's own rules.

408, 409, 429 and 5xx are retried, as OpenAI's and Anthropic's SDKs do unless `x-should-retry` says
otherwise. Google's SDK does so if configured. An exhausted quota is not retried. None of these is
billed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from pydantic_core import from_json

from codewords_mcp.common.json_parts import object_of
from codewords_mcp.runtime.gateway.connection_pool import ProviderResponse
from codewords_mcp.runtime.gateway.providers import ProviderRoute
from codewords_mcp.runtime.gateway.usage import Json

MAX_ERROR_BYTES = 64 << 10
"""Bytes of an error response that are read before it is judged."""
_DOWN = frozenset({502, 503, 504, 529})
_BY_MODEL = frozenset({"messages", "generate", "embed", "chat", "completions", "embeddings"})
_KEY_REASONS = frozenset(
    {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED",
     "API_KEY_IP_ADDRESS_BLOCKED", "API_KEY_ANDROID_APP_BLOCKED", "API_KEY_IOS_APP_BLOCKED"}
)  # fmt: skip
# Seconds to skip a key that is invalid or whose account is out of credit.
_EXHAUSTED_REST = 60.0
# Seconds to skip a rate-limited key if the provider names no time.
_RATE_LIMITED_REST = 5.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Possible next steps after a response.

    `retryable`: the same call may succeed later, after `retry_after` seconds if the provider names
    them. `other_key`, `other_model`: another one may succeed. `rest`: seconds to skip this key.
    `down`: the provider fails for this model.
    """

    retryable: bool = False
    retry_after: float | None = None
    other_key: bool = False
    other_model: bool = False
    rest: float = 0.0
    down: bool = False


NO_ACTION = Verdict()


def judge(route: ProviderRoute, response: ProviderResponse, body: bytes) -> Verdict:
    """The verdict on a response. `body` is empty if it was too long to read."""
    status = response.status
    if status < 400:
        return NO_ACTION

    error_object = _object(body)
    retry_after = when_to_return(response, error_object)
    # 401 is about the key; 403 may be about this one call.
    if status == 401 or _is_invalid_key(error_object):
        return Verdict(other_key=True, rest=_EXHAUSTED_REST)
    if status == 403:
        return Verdict(other_key=True)
    if status == 402 or (status == 429 and _is_exhausted(error_object)):
        return Verdict(other_key=True, other_model=True, rest=_EXHAUSTED_REST)

    should_retry = response.header(b"x-should-retry")
    retryable = should_retry == "true" or (
        should_retry != "false" and (status in {408, 409, 429} or status >= 500)
    )
    if status == 429:
        return Verdict(
            retryable, retry_after, other_key=True, other_model=True, rest=retry_after or _RATE_LIMITED_REST
        )
    if status == 404:
        return Verdict(other_model=_lacks_model(route, error_object))

    return Verdict(retryable, retry_after, other_model=status >= 500, down=status in _DOWN)


def _object(body: bytes) -> Json:
    try:
        parsed: Any = from_json(body) if body else None
    except ValueError:
        return {}
    # Gemini's streams send an error as a list with one element.
    if isinstance(parsed, list) and parsed:
        parsed = cast("list[Any]", parsed)[0]
    return object_of(object_of(parsed).get("error"))


def _is_invalid_key(error: Json) -> bool:
    """Whether Google refused the key itself, which it does by 400 or 403 (google.rpc.ErrorInfo)."""
    return any(detail.get("reason") in _KEY_REASONS for detail in _details(error))


def _is_exhausted(error: Json) -> bool:
    """Whether a 429 is of an account that waiting does not fill:

    OpenAI's quota, Gemini's daily quota.
    """
    if "insufficient_quota" in {error.get("code"), error.get("type")}:
        return True
    return any(
        "PerDay" in str(violation.get("quotaId", ""))
        for detail in _details(error)
        for violation in _items(detail.get("violations"))
    )


def _lacks_model(route: ProviderRoute, error: Json) -> bool:
    return error.get("code") == "model_not_found" or route.flavor in _BY_MODEL


def when_to_return(response: ProviderResponse, error: Json) -> float | None:
    """Seconds until the provider accepts the next call, by its headers or, for Gemini, its error."""
    # OpenAI's header is finer than the standard's whole seconds.
    for header, unit in ((b"retry-after-ms", 1000.0), (b"retry-after", 1.0)):
        value = response.header(header)
        seconds = _number(value)
        if seconds is not None:
            return seconds / unit
        # RFC 9110, 10.2.3: seconds, or a date.
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
    # float reads "inf" and "nan", too.
    if 0 <= value < float("inf"):
        return value
    return None


def _until(date: str) -> float | None:
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    # A date without a zone is in UTC (RFC 9110, 5.6.7).
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _details(error: Json) -> list[Json]:
    return _items(error.get("details"))


def _items(value: Any) -> list[Json]:
    if isinstance(value, list):
        listed = cast("list[Any]", value)
    else:
        listed = []
    return [cast("Json", item) for item in listed if isinstance(item, dict)]
