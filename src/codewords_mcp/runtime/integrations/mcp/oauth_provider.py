"""OAuth 2.1 towards servers, by the client provider of the package `mcp`: discovery, registration, PKCE,
resource indicators and refresh are its own. Imported where a server asks for a sign-in.

Beyond the provider, the time at which a token expires and where its authorization server is are kept
too, so that a token can be refreshed after a start anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.auth.oauth2 import PKCEParameters
from mcp.client.auth.utils import validate_authorization_response_iss
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, BaseModel

from codewords_mcp.runtime.model.egress_policy import is_this_machine

CLIENT_NAME = "CodeWords"
EXPIRY_MARGIN_S = 30.0
"""Seconds before its expiry from which a token is no longer used."""


if TYPE_CHECKING:
    import httpx2


class PendingSignIn(BaseModel):
    """A sign-in whose person is at the authorization server: all that its end needs, on whichever replica.

    `url` is where the person goes. `verifier` is the secret of its PKCE challenge.
    """

    url: str
    redirect_uri: str
    verifier: str
    scope: str | None = None
    protocol_version: str | None = None
    client: OAuthClientInformationFull | None = None
    metadata: OAuthMetadata | None = None
    resource: ProtectedResourceMetadata | None = None

    @property
    def state(self) -> str:
        """The value by which the way back is known; "" if there is none."""
        return parse_qs(urlsplit(self.url).query).get("state", [""])[0]


class SignInPending(Exception):  # an outcome: the flow stops where the person's part begins
    """The person has to go on."""

    def __init__(self, pending: PendingSignIn) -> None:
        super().__init__("the person has to go on")
        self.pending = pending


class SignInRequired(Exception):  # a state of the connection, not a fault
    """Only a person can go on."""


class StoredSignIn(TokenStorage):
    """Tokens and registration of one server, as one JSON text that `save` seals and stores."""

    def __init__(self, text: str | None, save: Callable[[str], Awaitable[None]]) -> None:
        self._values: dict[str, Any] = json.loads(text) if text else {}
        self._save = save

    @property
    def expires_at(self) -> float | None:
        """When the access token expires, in seconds since 1970; None if nobody knows."""
        return cast("float | None", self._values.get("expires_at"))

    @property
    def metadata(self) -> OAuthMetadata | None:
        """The authorization server, as it described itself."""
        found = self._values.get("metadata")
        if found is None:
            return None
        return OAuthMetadata.model_validate(found)

    @property
    def resource(self) -> ProtectedResourceMetadata | None:
        """The server's resource, as it described it."""
        found = self._values.get("resource")
        if found is None:
            return None
        return ProtectedResourceMetadata.model_validate(found)

    async def get_tokens(self) -> OAuthToken | None:
        """See `TokenStorage`."""
        found = self._values.get("tokens")
        if found is None:
            return None
        return OAuthToken.model_validate(found)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """See `TokenStorage`."""
        await self._put(tokens=tokens.model_dump(mode="json", exclude_none=True))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """See `TokenStorage`."""
        found = self._values.get("client")
        if found is None:
            return None
        return OAuthClientInformationFull.model_validate(found)

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """See `TokenStorage`."""
        await self._put(client=client_info.model_dump(mode="json", exclude_none=True))

    async def set_facts(
        self,
        expires_at: float | None,
        metadata: OAuthMetadata | None,
        resource: ProtectedResourceMetadata | None,
    ) -> None:
        """Keep what the provider itself would forget."""
        await self._put(
            expires_at=expires_at,
            metadata=None if metadata is None else metadata.model_dump(mode="json", exclude_none=True),
            resource=None if resource is None else resource.model_dump(mode="json", exclude_none=True),
        )

    async def _put(self, **values: Any) -> None:
        if {name: self._values.get(name) for name in values} == values:
            return
        self._values |= values
        await self._save(json.dumps(self._values))


class ServerProvider(OAuthClientProvider):
    """Signs the requests of one server in. Where a person is needed it raises SignInRequired, or SignInPending where one is
    there (`person`).
    """

    def __init__(
        self,
        server_url: str,
        redirect_uri: str,
        storage: StoredSignIn,
        *,
        client_metadata_url: str | None = None,
        person: bool = False,
    ) -> None:
        self._stored = storage
        self._redirect_uri = redirect_uri
        super().__init__(
            server_url,
            client_metadata(redirect_uri),
            storage,
            redirect_handler=self._begin if person else _nobody_is_there,
            callback_handler=_nobody_answers,
            client_metadata_url=client_metadata_url,
        )

    def expire(self) -> bool:
        """Refresh the token before the next request; False where that is impossible."""
        # A time long past: the provider takes 0 for a token that never expires.
        self.context.token_expiry_time = 1.0
        return self.context.can_refresh_token()

    async def _begin(self, url: str) -> None:
        """Stop the flow, with a challenge whose secret is known here: the provider keeps its own to itself."""
        challenge, context = PKCEParameters.generate(), self.context
        raise SignInPending(
            PendingSignIn(
                url=_with_challenge(url, challenge.code_challenge),
                redirect_uri=self._redirect_uri,
                verifier=challenge.code_verifier,
                scope=context.client_metadata.scope,
                protocol_version=context.protocol_version,
                client=context.client_info,
                metadata=context.oauth_metadata,
                resource=context.protected_resource_metadata,
            )
        )

    async def finish(
        self,
        pending: PendingSignIn,
        code: str,
        issuer: str | None,
        send: Callable[[httpx2.Request], Awaitable[httpx2.Response]],
    ) -> None:
        """End a sign-in by the code of its way back, and store its tokens. `send` asks the authorization server.

        Raises errors of the provider for another issuer, and for an answer without tokens.
        """
        await self._initialize()
        context = self.context
        context.client_info = pending.client or context.client_info
        context.client_metadata.scope = pending.scope
        context.protocol_version = pending.protocol_version
        context.oauth_metadata = pending.metadata
        context.protected_resource_metadata = pending.resource

        # Before the code is sent, since it may be meant for another authorization server (RFC 9207).
        validate_authorization_response_iss(issuer, context.oauth_metadata)
        request = await self._exchange_token_authorization_code(code, pending.verifier)
        await self._handle_token_response(await send(request))

    async def _initialize(self) -> None:
        await super()._initialize()
        # The provider itself loads only tokens and registration, and forgets these at a restart.
        self.context.token_expiry_time = self._stored.expires_at
        self.context.oauth_metadata = self._stored.metadata
        self.context.protected_resource_metadata = self._stored.resource

    async def _handle_token_response(self, response: Any) -> None:
        await super()._handle_token_response(response)
        await self._keep_facts()

    async def _handle_refresh_response(self, response: Any) -> bool:
        refreshed = await super()._handle_refresh_response(response)
        await self._keep_facts()
        return refreshed

    async def _keep_facts(self) -> None:
        context = self.context
        if context.token_expiry_time:
            # A token that expires on its way would cost the call.
            left = context.token_expiry_time - time.time()
            context.token_expiry_time -= min(EXPIRY_MARGIN_S, left / 2)
        await self._stored.set_facts(
            context.token_expiry_time, context.oauth_metadata, context.protected_resource_metadata
        )


def client_metadata(redirect_uri: str) -> OAuthClientMetadata:
    """Describe this runtime as a client, for a registration or as a document of its own."""
    host = AnyUrl(redirect_uri).host or ""
    return OAuthClientMetadata(
        client_name=CLIENT_NAME,
        redirect_uris=[AnyUrl(redirect_uri)],
        application_type="native" if is_this_machine(host) else "web",
    )


def _with_challenge(url: str, challenge: str) -> str:
    """An authorization address with another PKCE challenge."""
    parts = urlsplit(url)
    query = [
        (name, challenge if name == "code_challenge" else value) for name, value in parse_qsl(parts.query)
    ]
    return urlunsplit(parts._replace(query=urlencode(query)))


async def _nobody_is_there(_url: str) -> None:
    raise SignInRequired


async def _nobody_answers() -> AuthorizationCodeResult:
    raise SignInRequired
