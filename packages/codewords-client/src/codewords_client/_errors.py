"""Errors of the client. Each is also the httpx (or builtin) error that a script would catch.

- CodewordsHTTPError is an `httpx.HTTPStatusError`: the runtime or the workflow answered 400 or more
- CodewordsConnectionError is an `httpx.ConnectError`: no runtime at the address
- CodewordsTimeout is an `httpx.TimeoutException` and a `TimeoutError`: a result did not come in the time asked for
- MissingKeyError is a `ValueError`: no API key was given or found
"""

from __future__ import annotations

import json
from typing import Any, cast

import httpx

# Characters of an error's text that go into its message.
_SHOWN = 2000


class MissingKeyError(ValueError):
    """No API key was passed and `CODEWORDS_API_KEY` is not set."""

    def __init__(self) -> None:
        super().__init__("CODEWORDS_API_KEY is not set: set it, or pass api_key= to the client.")


class CodewordsConnectionError(httpx.ConnectError):
    """No runtime answers at the address."""


class CodewordsTimeout(httpx.TimeoutException, TimeoutError):
    """A result did not come within the time asked for; the run goes on, and its id is still good."""


class CodewordsHTTPError(httpx.HTTPStatusError):
    """An answer of 400 or more. The message is `status: detail`.

    `detail` is the body's own explanation: a string, or FastAPI's list of what is wrong with the input.
    `origin` is "service" where the workflow answered, "platform" where the runtime did, else "".
    `code` is the runtime's stable code for its own errors, else "".
    """

    def __init__(self, response: httpx.Response) -> None:
        self.detail: Any = explanation(response)
        self.origin = response.headers.get("error-origin", "")
        self.code = str(_inner(_json(response)).get("code") or "")
        self.request_id = response.headers.get("x-request-id", "")

        if isinstance(self.detail, str):
            text = self.detail
        else:
            text = json.dumps(self.detail, ensure_ascii=False, default=str)

        super().__init__(
            f"{response.status_code}: {text[:_SHOWN]}", request=response.request, response=response
        )


def raise_for_status(response: httpx.Response) -> None:
    """Raise CodewordsHTTPError for an answer of 400 or more. The body must have been read."""
    if response.status_code >= 400:
        raise CodewordsHTTPError(response)


def explanation(response: httpx.Response) -> object:
    """Extract an error response's own explanation from its body. Never empty."""
    body = _json(response)
    # FastAPI's form first: a workflow's errors and the runtime's validation have it.
    if body.get("detail"):
        return body["detail"]
    inner = _inner(body)
    if message := inner.get("message"):
        return f"{message} {inner.get('hint') or ''}".strip()
    if isinstance(body.get("error"), str):
        return body["error"]
    # HTTP/2 has no reason phrase, and a message must never be empty.
    return response.text.strip() or response.reason_phrase or "no explanation"


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    if isinstance(body, dict):
        return cast("dict[str, Any]", body)
    return {}


def _inner(body: dict[str, Any]) -> dict[str, Any]:
    """The error itself: some bodies wrap it as `{"error": {…}}`."""
    inner = body.get("error")
    if isinstance(inner, dict):
        return cast("dict[str, Any]", inner)
    return body
