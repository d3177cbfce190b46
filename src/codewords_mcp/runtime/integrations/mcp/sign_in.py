"""Sign-ins of people at servers: pending by a page of the runtime, ended by the way back to it, on whichever replica.

A sign-in that goes on is a sealed row, and so are tokens, as secrets are.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import Connection

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.integrations.mcp.session_faults import SessionFaults
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.model.mcp import McpServer
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store import mcp_sign_ins
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import USER_AGENT, Web

if TYPE_CHECKING:
    import httpx2

    from codewords_mcp.runtime.integrations.mcp.oauth_provider import (
        PendingSignIn,
        ServerProvider,
        StoredSignIn,
    )

CALLBACK = "/connect/callback"
CLIENT_DOCUMENT = "/oauth/client.json"
BEGIN_TIMEOUT_S = 20.0
"""Seconds until the server and its authorization server have said where a person signs in."""
PERSON_TIMEOUT_S = 600.0
"""Seconds for the person."""


class SignIns:
    """The sign-ins of all owners. For one event loop. `base_url` is the runtime's own."""

    def __init__(self, web: Web, database: Database, sealer: Sealer, base_url: Callable[[], str]) -> None:
        self._web = web
        self._database = database
        self._sealer = sealer
        self._base_url = base_url
        self._providers: dict[tuple[str, str, str], tuple[str, httpx2.Auth]] = {}

    async def has_tokens(self, owner: str, server: str) -> bool:
        """Whether a person has signed in at a server."""
        return '"tokens"' in (await self._load(owner, server) or "")

    async def auth(self, owner: str, server: McpServer) -> httpx2.Auth:
        """Return the signer of requests to a server, by its tokens. The same until others are stored, by any replica."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        key = (owner, server.name, server.url)
        known = self._providers.get(key)
        if known is None or known[0] != server.tokens_digest:
            storage = await self._storage(owner, server.name)
            provider = ServerProvider(
                server.url, self._redirect_uri, storage, client_metadata_url=self.client_document_url
            )
            known = self._providers[key] = (server.tokens_digest, provider)
        return known[1]

    async def expire(self, owner: str, server: McpServer) -> bool:
        """Take the access token for expired, since the server refused it; False where it can't be refreshed."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        provider = await self.auth(owner, server)
        return isinstance(provider, ServerProvider) and provider.expire()

    async def begin(self, owner: str, server: McpServer, link: str) -> str:
        """Return the address at which a person signs in. `link` is the page that they come back to.

        Raises UpstreamFailed, UpstreamTimedOut, AddressRefused.
        """
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider, SignInPending

        storage = await self._storage(owner, server.name)
        provider = ServerProvider(
            server.url, self._redirect_uri, storage, client_metadata_url=self.client_document_url, person=True
        )
        faults = SessionFaults()
        task = asyncio.create_task(self._request(server, provider, faults))
        await asyncio.wait([task], timeout=BEGIN_TIMEOUT_S)
        if not task.done():
            await end([task])
            raise UpstreamTimedOut(
                "The server did not say in time where one signs in.", hint="Try again later."
            )
        outcome = task.exception()
        # The provider breaks its request off with this exception once it knows the page.
        if not isinstance(outcome, SignInPending):
            raise _begin_failure(outcome, faults, task)

        pending = outcome.pending
        parts = urlsplit(pending.url)
        # The address is opened in the person's browser, where one of another scheme could run a script.
        if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
            raise UpstreamFailed("The server names a sign-in page that is no https:// address.")
        await self._keep(owner, server.name, link, pending)
        return pending.url

    async def complete(
        self, owner: str, *, state: str, code: str, issuer: str | None, refusal: str
    ) -> tuple[str, str]:
        """End a sign-in by the result of its page. Returns (the server, the page to go on with).

        Raises NotFound for a sign-in that does not go on, InvalidInput where the person refused,
        UpstreamFailed.
        """
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        # Taken first: a way back counts once, also one that brings a refusal.
        row, pending = await self._take(owner, state)
        if refusal or not code:
            raise InvalidInput("The sign-in was refused there.", hint="Begin it again.")
        found = await self._database.read(rows.get, owner, row.server)
        if found is None:
            raise NotFound("This server was disconnected.", hint="Connect it again.")

        server = found[0]
        storage = await self._storage(owner, server.name)
        provider = ServerProvider(server.url, pending.redirect_uri, storage)
        task = asyncio.create_task(self._finish(server, provider, pending, code, issuer))
        await asyncio.wait([task], timeout=BEGIN_TIMEOUT_S)
        if not task.done():
            await end([task])
            raise UpstreamTimedOut("The sign-in was not completed in time.", hint="Begin it again.")
        failure = task.exception()
        if failure is not None:
            raise _completion_failure(failure)
        return server.name, row.link

    @property
    def client_document_url(self) -> str | None:
        """The address of the document that describes this runtime as a client; None without a public one."""
        base = self._base_url()
        host = urlsplit(base).hostname or ""
        # The authorization server fetches the document, so the address must be known outside.
        if base.startswith("https://") and "." in host and not host.replace(".", "").isdigit():
            return base + CLIENT_DOCUMENT
        return None

    def client_document(self) -> dict[str, object]:
        """That document. Raises NotFound without a public address."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import client_metadata

        url = self.client_document_url
        if url is None:
            raise NotFound("This runtime has no public address of its own.")
        described = client_metadata(self._redirect_uri).model_dump(mode="json", exclude_none=True)
        return {
            **described,
            "client_id": url,
            "client_uri": self._base_url(),
            "token_endpoint_auth_method": "none",
        }

    @property
    def _redirect_uri(self) -> str:
        return self._base_url() + CALLBACK

    async def _storage(self, owner: str, server: str) -> StoredSignIn:
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import StoredSignIn

        async def save(text: str) -> None:
            def store(connection: Connection) -> None:
                sealed = self._sealer.seal(connection, owner, f"mcp/{server}", text.encode())
                rows.change(connection, owner, server, {"sign_in": sealed})

            await self._database.write(store)

        return StoredSignIn(await self._load(owner, server), save)

    async def _load(self, owner: str, server: str) -> str | None:
        def load(connection: Connection) -> str | None:
            sealed = rows.sealed_sign_in(connection, owner, server)
            if sealed is None:
                return None
            return self._sealer.open(connection, owner, f"mcp/{server}", sealed).decode()

        # The sealer may have to make the home's data key.
        return await self._database.write(load)

    async def _request(self, server: McpServer, auth: httpx2.Auth, faults: SessionFaults) -> int:
        """Make the request that the server refuses without a sign-in, and its repetition after it."""
        import httpx2
        from mcp_types.version import LATEST_HANDSHAKE_VERSION

        from codewords_mcp.runtime.integrations.mcp.transport import ServerTransport

        transport = ServerTransport(self._web.transport(keepalive=1), faults, server.url, streams=False)
        async with httpx2.AsyncClient(
            transport=transport, auth=auth, timeout=None, trust_env=False, headers={"user-agent": USER_AGENT}
        ) as http:
            response = await http.post(
                server.url,
                json={"jsonrpc": "2.0", "id": 1, "method": "ping"},
                headers={
                    "accept": "application/json, text/event-stream",
                    "mcp-protocol-version": LATEST_HANDSHAKE_VERSION,
                },
            )
            return response.status_code

    async def _finish(
        self,
        server: McpServer,
        provider: ServerProvider,
        pending: PendingSignIn,
        code: str,
        issuer: str | None,
    ) -> None:
        """Exchange the code for tokens, which the provider stores."""
        import httpx2

        from codewords_mcp.runtime.integrations.mcp.transport import ServerTransport

        transport = ServerTransport(
            self._web.transport(keepalive=1), SessionFaults(), server.url, streams=False
        )
        async with httpx2.AsyncClient(
            transport=transport, timeout=None, trust_env=False, headers={"user-agent": USER_AGENT}
        ) as http:
            await provider.finish(pending, code, issuer, http.send)

    async def _keep(self, owner: str, server: str, link: str, pending: PendingSignIn) -> None:
        """Store a sign-in until its person is back."""
        identity, at = _identity(pending.state), now()

        def store(connection: Connection) -> None:
            sealed = self._sealer.seal(
                connection, owner, _place(identity), pending.model_dump_json().encode()
            )
            mcp_sign_ins.add(
                connection, owner, mcp_sign_ins.SignInRow(identity, server, link, sealed), at,
                expires_at=at + int(PERSON_TIMEOUT_S * 1e6),
            )  # fmt: skip

        await self._database.write(store)

    async def _take(self, owner: str, state: str) -> tuple[mcp_sign_ins.SignInRow, PendingSignIn]:
        """Take a sign-in out of the store, so that its way back is gone once. Raises NotFound."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import PendingSignIn

        identity = _identity(state)

        def take(connection: Connection) -> tuple[mcp_sign_ins.SignInRow, bytes] | None:
            row = mcp_sign_ins.take(connection, owner, identity, now())
            if row is None:
                return None
            return row, self._sealer.open(connection, owner, _place(identity), row.sealed)

        found = await self._database.write(take)
        if found is None:
            raise NotFound(
                "This sign-in does not go on: it has ended, or was pending by another person.",
                hint="Begin it again from the page of the connection.",
            )
        return found[0], PendingSignIn.model_validate_json(found[1])


def _identity(state: str) -> str:
    """The key of a sign-in's row. The state itself is for the browser alone."""
    return hashlib.sha256(state.encode()).hexdigest()


def _place(identity: str) -> str:
    return f"mcp-sign-in/{identity}"


def _begin_failure(
    outcome: BaseException | None, faults: SessionFaults, task: asyncio.Task[int]
) -> CodewordsError:
    if faults.first is not None:
        return faults.first
    if outcome is None:
        return UpstreamFailed("The server asks nobody to sign in.", upstream_status=task.result())
    return _completion_failure(outcome)


def _completion_failure(failure: BaseException) -> UpstreamFailed:
    return UpstreamFailed(
        "The sign-in failed: the server, or where one signs in for it, did not answer as OAuth 2.1 says.",
        upstream_said=str(failure)[:300],
        hint="Begin it again; if that does not help, use a token.",
    )
