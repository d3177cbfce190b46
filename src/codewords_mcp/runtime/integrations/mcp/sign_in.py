"""Sign-ins of people at servers: begun by a page of the runtime, ended by the way back to it.

A sign-in that goes on is in memory, so the way back has to lead to the process that began it.
Tokens are sealed rows, as secrets are.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection

from codewords_mcp.common.cancellation import end
from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.integrations.mcp.transport import ServerTransport, SessionFaults
from codewords_mcp.runtime.model.egress_policy import is_this_machine
from codewords_mcp.runtime.model.mcp import McpServer
from codewords_mcp.runtime.secrets.sealing import Sealer
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import USER_AGENT, Web

if TYPE_CHECKING:
    import httpx2
    from mcp.shared.auth import AuthorizationCodeResult

    from codewords_mcp.runtime.integrations.mcp.oauth_provider import StoredSignIn

CALLBACK = "/connect/callback"
CLIENT_DOCUMENT = "/oauth/client.json"
BEGIN_TIMEOUT_S = 20.0
"""Seconds until the server and its authorization server have said where a person signs in."""
PERSON_TIMEOUT_S = 600.0
"""Seconds for the person."""
MAX_SIGN_INS = 50


@dataclass(slots=True)
class _SignIn:
    """A sign-in that goes on."""

    owner: str
    server: str
    link: str
    began_at: float = field(default_factory=time.monotonic)
    url: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    answer: asyncio.Future[AuthorizationCodeResult] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    task: asyncio.Task[int] | None = None


class SignIns:
    """The sign-ins of all owners. For one event loop; `close` it. `base_url` is the runtime's own."""

    def __init__(self, web: Web, database: Database, sealer: Sealer, base_url: Callable[[], str]) -> None:
        self._web = web
        self._database = database
        self._sealer = sealer
        self._base_url = base_url
        self._going_on: dict[str, _SignIn] = {}
        self._providers: dict[tuple[str, str, str], httpx2.Auth] = {}

    async def close(self) -> None:
        """Give up the sign-ins that go on."""
        await end([sign_in.task for sign_in in self._going_on.values() if sign_in.task is not None])
        self._going_on.clear()

    async def has_tokens(self, owner: str, server: str) -> bool:
        """Whether a person has signed in at a server."""
        return '"tokens"' in (await self._load(owner, server) or "")

    async def auth(self, owner: str, server: McpServer) -> httpx2.Auth:
        """Return the signer of requests to a server, by the tokens of its last sign-in. The same until the next one."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        key = (owner, server.name, server.url)
        if key not in self._providers:
            storage = await self._storage(owner, server.name)
            self._providers[key] = ServerProvider(
                server.url, self._redirect_uri, storage, client_metadata_url=self.client_document_url
            )
        return self._providers[key]

    async def expire(self, owner: str, server: McpServer) -> bool:
        """Take the access token for expired, since the server refused it; False where it can't be refreshed."""
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        provider = await self.auth(owner, server)
        return isinstance(provider, ServerProvider) and provider.expire()

    async def begin(self, owner: str, server: McpServer, link: str) -> str:
        """Return the address at which a person signs in. `link` is the page that they come back to.

        Raises UpstreamFailed, UpstreamTimedOut, AddressRefused.
        """
        from codewords_mcp.runtime.integrations.mcp.oauth_provider import ServerProvider

        await self._end_old()
        sign_in = _SignIn(owner, server.name, link)

        async def redirect(url: str) -> None:
            sign_in.url.set_result(url)

        async def callback() -> AuthorizationCodeResult:
            return await sign_in.answer

        storage = await self._storage(owner, server.name)
        provider = ServerProvider(
            server.url, self._redirect_uri, storage, client_metadata_url=self.client_document_url,
            redirect=redirect, callback=callback,
        )  # fmt: skip
        faults = SessionFaults()
        sign_in.task = asyncio.create_task(self._request(server, provider, faults))
        await asyncio.wait(
            {sign_in.url, sign_in.task}, timeout=BEGIN_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if not sign_in.url.done():
            raise await _begin_failure(sign_in.task, faults)

        url = sign_in.url.result()
        state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        self._going_on[state or secrets.token_hex()] = sign_in
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
            raise UpstreamFailed("The server names a sign-in page that is no https:// address.")
        return url

    async def complete(
        self, owner: str, *, state: str, code: str, issuer: str | None, refusal: str
    ) -> tuple[str, str]:
        """End a sign-in by what came back from its page. Returns (the server, the page to go on with).

        Raises NotFound for a sign-in that does not go on here, InvalidInput where the person refused,
        UpstreamFailed.
        """
        from mcp.shared.auth import AuthorizationCodeResult

        sign_in = self._going_on.get(state)
        if sign_in is None or sign_in.owner != owner or sign_in.task is None:
            raise NotFound(
                "This sign-in does not go on here: it has ended, or was begun by another person.",
                hint="Begin it again from the page of the connection.",
            )
        del self._going_on[state]
        if refusal or not code:
            await end([sign_in.task])
            raise InvalidInput("The sign-in was refused there.", hint="Begin it again.")

        sign_in.answer.set_result(AuthorizationCodeResult(code=code, state=state, iss=issuer))
        await asyncio.wait([sign_in.task], timeout=BEGIN_TIMEOUT_S)
        if not sign_in.task.done():
            await end([sign_in.task])
            raise UpstreamTimedOut("The sign-in was not completed in time.", hint="Begin it again.")
        failure = sign_in.task.exception()
        if failure is not None:
            raise _completion_failure(failure)

        # What signed in before is outdated, and so are sessions that use it.
        for key in [key for key in self._providers if key[:2] == (owner, sign_in.server)]:
            del self._providers[key]
        return sign_in.server, sign_in.link

    @property
    def client_document_url(self) -> str | None:
        """The address of the document that describes this runtime as a client; None without a public one."""
        base = self._base_url()
        host = urlsplit(base).hostname or ""
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

    async def _end_old(self) -> None:
        """End sign-ins that nobody completed, and beyond the limit the oldest ones."""
        due = time.monotonic() - PERSON_TIMEOUT_S
        oldest_first = sorted(self._going_on.items(), key=lambda pair: pair[1].began_at)
        surplus = len(oldest_first) - MAX_SIGN_INS + 1
        for number, (state, sign_in) in enumerate(oldest_first):
            if number < surplus or sign_in.began_at < due:
                del self._going_on[state]
                await end([sign_in.task] if sign_in.task is not None else [])


async def _begin_failure(task: asyncio.Task[int], faults: SessionFaults) -> CodewordsError:
    if not task.done():
        await end([task])
        return UpstreamTimedOut("The server did not say in time where one signs in.", hint="Try again later.")
    if faults.first is not None:
        task.exception()
        return faults.first
    failure = task.exception()
    if failure is None:
        return UpstreamFailed("The server asks nobody to sign in.", upstream_status=task.result())
    return _completion_failure(failure)


def _completion_failure(failure: BaseException) -> UpstreamFailed:
    return UpstreamFailed(
        "The sign-in failed: the server, or where one signs in for it, did not answer as OAuth 2.1 says.",
        upstream_said=str(failure)[:300],
        hint="Begin it again; if that does not help, use a token.",
    )
