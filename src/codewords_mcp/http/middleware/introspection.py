"""Questions to an authorization server whether a token was revoked (RFC 7662)."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from codewords_mcp.errors import InvalidInput, ServiceNotAvailable
from codewords_mcp.http.middleware.issuer_urls import client_credentials, is_protected
from codewords_mcp.settings import Settings

ANSWER_TTL: Final = 15.0
"""Seconds that an answer counts."""
_PAUSE: Final = 10.0
"""Seconds without a question after one that was not answered, so that an outage makes nobody wait for it twice."""
_TIMEOUT: Final = 10.0
_MAX_CONCURRENT: Final = 8
log = structlog.get_logger(__name__)


class Introspection:
    """The endpoint of the settings. Raises InvalidInput for settings that can't work."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.oauth_introspection_url or ""
        self.is_set = bool(self._url)
        self._silent_until = float("-inf")
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)
        if not self._url:
            return
        if not is_protected(self._url):
            raise InvalidInput(
                "CODEWORDS_OAUTH_INTROSPECTION_URL must be an https URL; http is for loopback only."
            )
        if not (settings.oauth_client_id and settings.oauth_client_secret):
            raise InvalidInput(
                "CODEWORDS_OAUTH_INTROSPECTION_URL needs CODEWORDS_OAUTH_CLIENT_ID and CODEWORDS_OAUTH_CLIENT_SECRET."
            )
        self._credentials = client_credentials(settings.oauth_client_id, settings.oauth_client_secret)

    async def is_active(self, token: str) -> bool:
        """Whether the token was not revoked. Raises ServiceNotAvailable where there is no answer."""
        async with self._slots:
            if asyncio.get_running_loop().time() < self._silent_until:
                raise _unavailable()
            answer = await self._ask(token)

        active = answer.get("active")
        # An answer that says neither is none: it must neither let anybody in nor put anybody out.
        if not isinstance(active, bool):
            raise self._failed("no answer to the question")
        return active

    async def _ask(self, token: str) -> dict[str, Any]:
        import httpx2

        from codewords_mcp.http.middleware.issuer_keys import read_document

        form = {"token": token, "token_type_hint": "access_token"}
        try:
            async with (
                # A redirect would take the token and the client's secret to another place.
                httpx2.AsyncClient(timeout=_TIMEOUT, follow_redirects=False) as http,
                http.stream(
                    "POST", self._url, data=form, headers={"Authorization": self._credentials}
                ) as response,
            ):
                if response.status_code != 200:
                    raise self._failed(f"status {response.status_code}")
                return await read_document(response)
        except (httpx2.HTTPError, ValueError) as error:
            raise self._failed(type(error).__name__) from error

    def _failed(self, reason: str) -> ServiceNotAvailable:
        log.warning("the authorization server says nothing of a token", reason=reason)
        self._silent_until = asyncio.get_running_loop().time() + _PAUSE
        return _unavailable()


def _unavailable() -> ServiceNotAvailable:
    return ServiceNotAvailable(
        "The authorization server cannot be asked now whether the token was revoked.",
        hint="Try again soon; a key of `codewords keys create` works meanwhile.",
    )
