"""Credentials of clouds: signatures of AWS by botocore, tokens of Google by google-auth, of the extras `aws` and `gcp`.

A key is what its secret holds: Bedrock's API key, or `ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]`; Vertex's API key,
or a service account's JSON. With `credentials` of `environment`, the machine's own are used.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Protocol

import structlog

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.errors import ServiceNotAvailable
from codewords_mcp.runtime.gateway.headers import Headers
from codewords_mcp.runtime.gateway.named_providers import NamedProvider

log = structlog.get_logger(__name__)
GOOGLE_TOKENS: Final = "https://oauth2.googleapis.com/token"
TOKEN_TIMEOUT: Final = 30.0
"""Seconds to wait for a token."""
_MAX_TOKENS: Final = 256
_SCOPES: Final = ["https://www.googleapis.com/auth/cloud-platform"]
_ACCESS_KEY: Final = re.compile(r"([A-Z0-9]{16,128}):([\w/+=]{16,128})(?::([\w/+=]{16,4096}))?", re.ASCII)
# Of the caller's own signature, which was made with a CodeWords key.
_SIGNATURE: Final = frozenset({b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"})


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request before its credentials. `target` is the path with the query, at the provider's base URL."""

    method: str
    target: str
    headers: Headers
    body: bytes


class GoogleCredentials(Protocol):
    """Credentials of google-auth."""

    valid: bool
    token: str | None

    def refresh(self, request: Callable[..., object]) -> None:
        """Ask for a token. Blocking."""
        ...


class CloudCredentials:
    """Adds credentials to requests of clouds. Tokens are kept until they expire."""

    def __init__(self) -> None:
        self._google: dict[tuple[str, bytes], GoogleCredentials] = {}
        self._aws: Any = None
        self._lock = asyncio.Lock()

    async def headers(self, provider: NamedProvider, key: bytes, request: OutgoingRequest) -> Headers:
        """The headers of a request with its credentials. Raises ServiceNotAvailable where there are none that work."""
        forwarded = [pair for pair in request.headers if pair[0] not in _SIGNATURE]
        if provider.interface == "vertex":
            return [*forwarded, await self._google_header(provider, key)]

        match = _ACCESS_KEY.fullmatch(key.decode("ascii", "replace"))
        # A text that is no access key is one of Bedrock's own API keys, which are sent as they are.
        if key and match is None:
            return [*forwarded, (b"authorization", b"Bearer " + key)]
        if match is not None:
            credentials = _package("botocore.credentials", "aws").Credentials(*match.groups())
        else:
            credentials = await self._aws_environment()
        return [*forwarded, *_signature(provider, credentials, request)]

    async def _aws_environment(self) -> object:
        """The machine's own credentials, frozen: a role's are renewed in between."""
        # One look-up for all calls that come meanwhile.
        async with self._lock:
            if self._aws is None:
                session = _package("botocore.session", "aws")
                self._aws = await asyncio.to_thread(lambda: session.Session().get_credentials())
            if self._aws is None:
                raise _no_credentials("AWS")
            return await asyncio.to_thread(self._aws.get_frozen_credentials)

    async def _google_header(self, provider: NamedProvider, key: bytes) -> tuple[bytes, bytes]:
        if key and not key.startswith(b"{"):
            return b"x-goog-api-key", key

        async with self._lock:
            credentials = self._google.get((provider.token_url, key))
            if credentials is None:
                credentials = await asyncio.to_thread(_google_credentials, provider, key)
                # Keys change seldom; a bound is all that is needed.
                if len(self._google) >= _MAX_TOKENS:
                    self._google.clear()
                self._google[provider.token_url, key] = credentials
            if not credentials.valid:
                await asyncio.to_thread(_refresh, credentials)
        return b"authorization", b"Bearer " + str(credentials.token).encode()


def _signature(provider: NamedProvider, credentials: object, request: OutgoingRequest) -> Headers:
    auth, awsrequest = _package("botocore.auth", "aws"), _package("botocore.awsrequest", "aws")
    media = next((value.decode("latin-1") for name, value in request.headers if name == b"content-type"), "")
    made = awsrequest.AWSRequest(
        request.method,
        provider.base_url + request.target,
        headers={"Content-Type": media} if media else {},
        data=request.body,
    )
    auth.SigV4Auth(credentials, "bedrock", provider.region).add_auth(made)
    return [
        (name.lower().encode(), value.encode())
        for name, value in made.headers.items()
        # It is among the forwarded headers already.
        if name.lower() != "content-type"
    ]


def _google_credentials(provider: NamedProvider, key: bytes) -> GoogleCredentials:
    exceptions = _package("google.auth.exceptions", "gcp")
    try:
        if not key:
            credentials, _ = _package("google.auth", "gcp").default(scopes=_SCOPES)
            return credentials

        account: Any = parse(key)
        # The address of tokens is the operator's: that of a secret could be any host.
        named = account | {"token_uri": provider.token_url or GOOGLE_TOKENS}
        service_account = _package("google.oauth2.service_account", "gcp")
        return service_account.Credentials.from_service_account_info(named, scopes=_SCOPES)
    except (exceptions.GoogleAuthError, ValueError, TypeError):
        raise _no_credentials("Google Cloud") from None


def _refresh(credentials: GoogleCredentials) -> None:
    requests = _package("google.auth.transport.requests", "gcp")
    exceptions = _package("google.auth.exceptions", "gcp")
    session = _package("requests", "gcp").Session()

    def ask(*args: Any, **options: Any) -> object:
        return requests.Request(session)(*args, **options | {"timeout": TOKEN_TIMEOUT})

    with session:
        try:
            credentials.refresh(ask)
        except (exceptions.GoogleAuthError, TypeError, KeyError, ValueError, AttributeError) as error:
            # Its client reads an answer that is no object of tokens without looking at what it is.
            log.warning("cloud token refused", error=type(error).__name__)
            raise _no_credentials("Google Cloud") from None


def _no_credentials(cloud: str) -> ServiceNotAvailable:
    return ServiceNotAvailable(
        f"The credentials for {cloud} give no access, so the call was not made.",
        hint="Check the secret of the provider's key, or the credentials of the machine that the runtime is on.",
    )


def _package(name: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ServiceNotAvailable(
            f"Calls of this provider are signed by a package that is not installed: the extra `{extra}`.",
            hint=f"Install codewords-mcp[{extra}] where the runtime is installed, and start it again.",
        ) from None
