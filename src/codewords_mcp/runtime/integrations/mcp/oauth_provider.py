"""OAuth 2.1 towards servers, by the client provider of the package `mcp`: discovery, registration, PKCE,
resource indicators and refresh are its own. Imported where a server asks for a sign-in.

Beyond the provider, the time at which a token expires and where its authorization server is are kept
too, so that a token can be refreshed after a start anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl

from codewords_mcp.runtime.model.egress_policy import is_this_machine

CLIENT_NAME = "CodeWords"
EXPIRY_MARGIN_S = 30.0
"""Seconds before its expiry from which a token is no longer used."""


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
        return None if found is None else OAuthMetadata.model_validate(found)

    @property
    def resource(self) -> ProtectedResourceMetadata | None:
        """The server's resource, as it described it."""
        found = self._values.get("resource")
        return None if found is None else ProtectedResourceMetadata.model_validate(found)

    async def get_tokens(self) -> OAuthToken | None:
        """See `TokenStorage`."""
        found = self._values.get("tokens")
        return None if found is None else OAuthToken.model_validate(found)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """See `TokenStorage`."""
        await self._put(tokens=tokens.model_dump(mode="json", exclude_none=True))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """See `TokenStorage`."""
        found = self._values.get("client")
        return None if found is None else OAuthClientInformationFull.model_validate(found)

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
    """Signs the requests of one server in. Without handlers for a person it raises SignInRequired."""

    def __init__(
        self,
        server_url: str,
        redirect_uri: str,
        storage: StoredSignIn,
        *,
        client_metadata_url: str | None = None,
        redirect: Callable[[str], Awaitable[None]] | None = None,
        callback: Callable[[], Awaitable[AuthorizationCodeResult]] | None = None,
    ) -> None:
        self._stored = storage
        super().__init__(
            server_url,
            client_metadata(redirect_uri),
            storage,
            redirect_handler=redirect or _nobody_is_there,
            callback_handler=callback or _nobody_answers,
            client_metadata_url=client_metadata_url,
        )

    def expire(self) -> bool:
        """Refresh the token before the next request; False where that is impossible."""
        self.context.token_expiry_time = 1.0
        return self.context.can_refresh_token()

    async def _initialize(self) -> None:
        await super()._initialize()
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


async def _nobody_is_there(_url: str) -> None:
    raise SignInRequired


async def _nobody_answers() -> AuthorizationCodeResult:
    raise SignInRequired
