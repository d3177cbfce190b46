"""Public keys of an authorization server, by PyJWT's client for them.

Imported for the first token: PyJWT and an HTTP client take a while.
"""

from __future__ import annotations

import time
from typing import Any, Final, cast
from urllib.parse import urlsplit

import httpx2
import structlog
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWKClientConnectionError, PyJWTError
from typing_extensions import override

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.http.middleware.issuer_urls import is_protected

KEYS_TTL: Final = 3600.0
"""Seconds that the issuer's keys are cached."""
REFETCH_INTERVAL: Final = 10.0
"""Seconds between two fetches for a key that is not among them, and after a failed fetch."""
MAX_DOCUMENT_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 10.0
log = structlog.get_logger(__name__)


class IssuerKeys(PyJWKClient):
    """Fetches by discovery, without redirects, a bounded size, and not more often than
    `refetch_interval`: neither unknown key ids nor an outage make it press the issuer.

    While the issuer can't be reached, the keys fetched before stay valid.
    """

    def __init__(
        self,
        issuer: str,
        jwks_url: str | None = None,
        *,
        ttl: float = KEYS_TTL,
        refetch_interval: float = REFETCH_INTERVAL,
    ) -> None:
        # PyJWT's cooldown begins with a successful fetch only; `fetch_data` has one for failed ones too.
        super().__init__(jwks_url or issuer, lifespan=ttl, cooldown_duration=0)
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._refetch_interval = refetch_interval
        self._last_keys: PyJWKSet | None = None
        self._fetched_at = float("-inf")

    def cached_key(self, key_id: str | None) -> PyJWK | None:
        """Return a key that needs no fetch. Never blocks."""
        cached = self.jwk_set_cache and self.jwk_set_cache.get()
        if cached is None or key_id is None:
            return None
        return self.match_kid(_signing_keys(cached), key_id)

    @override
    def get_signing_key(self, kid: str | None) -> PyJWK:
        """See `PyJWKClient`. A token that names no key can't show that the issuer changed its key,
        so the keys are fetched again whenever that is allowed.
        """
        if kid is None:
            self.get_jwk_set(refresh=True)
        return super().get_signing_key(cast("str", kid))

    @override
    def get_signing_keys(self, refresh: bool = False) -> list[PyJWK]:
        """Keys for signatures, also those without an id, which PyJWT's own leaves out."""
        return _signing_keys(self.get_jwk_set(refresh))

    @staticmethod
    @override
    def match_kid(signing_keys: list[PyJWK], kid: str | None) -> PyJWK | None:
        """The key of an id; the only key for a token that names none."""
        for key in signing_keys:
            if key.key_id == kid:
                return key

        if kid is None and len(signing_keys) == 1:
            return signing_keys[0]
        return None

    @override
    def fetch_data(self) -> PyJWKSet:
        """Fetch the keys. The last ones where that fails, or where the last fetch was a moment ago.

        Blocks. Raises PyJWKClientConnectionError.
        """
        if time.monotonic() - self._fetched_at >= self._refetch_interval:
            # Before the fetch, so that one that fails or hangs is not repeated at once either.
            self._fetched_at = time.monotonic()
            try:
                # A redirect could lead to keys that the issuer's host does not vouch for.
                with httpx2.Client(timeout=_TIMEOUT_S, follow_redirects=False) as http:
                    url = self._jwks_url or self._discover(http)
                    self._last_keys = PyJWKSet.from_dict(_document(http, url))
            except (httpx2.HTTPError, ValueError, KeyError, PyJWTError) as error:
                log.warning("the authorization server's keys cannot be read", reason=type(error).__name__)

        if self._last_keys is None:
            raise PyJWKClientConnectionError("the issuer's keys can't be read")
        return self._last_keys

    def _discover(self, http: httpx2.Client) -> str:
        """Fetch the URL of the issuer's keys from its metadata (RFC 8414, OpenID Connect Discovery)."""
        parts = urlsplit(self._issuer)
        root, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")

        for url in (
            f"{root}/.well-known/oauth-authorization-server{path}",
            f"{root}/.well-known/openid-configuration{path}",
            f"{root}{path}/.well-known/openid-configuration",
        ):
            try:
                metadata = _document(http, url)
            except httpx2.HTTPStatusError:
                continue

            keys_url = str(metadata["jwks_uri"])
            # RFC 8414: otherwise one issuer could name the keys of another.
            if metadata["issuer"] != self._issuer or not is_protected(keys_url):
                raise ValueError(url)
            return keys_url

        raise KeyError(self._issuer)


def _signing_keys(keys: PyJWKSet) -> list[PyJWK]:
    return [key for key in keys.keys if key.public_key_use in {"sig", None}]


async def read_document(response: httpx2.Response) -> dict[str, Any]:
    """Read a JSON object of at most 1 MB. Raises httpx2.HTTPError, ValueError."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError("the document is too large")
    return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    document: Any = parse(body)
    if isinstance(document, dict):
        return cast("dict[str, Any]", document)
    raise ValueError("no object")


def _document(http: httpx2.Client, url: str) -> dict[str, Any]:
    """A JSON object of at most 1 MB. Raises httpx2.HTTPError, ValueError."""
    with http.stream("GET", url) as response:
        if response.status_code != 200:
            raise httpx2.HTTPStatusError("not 200", request=response.request, response=response)

        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_DOCUMENT_BYTES:
                raise ValueError(url)

    return _object(body)
