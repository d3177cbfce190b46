"""The way to an MCP server: its address, token or sign-in, transport, and what it says where it wants to know who asks."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from codewords_mcp.errors import Forbidden, InvalidInput, NotFound, UpstreamFailed
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.integrations.mcp.addresses import carries_tokens, host_of
from codewords_mcp.runtime.integrations.mcp.packages import PackageServers
from codewords_mcp.runtime.integrations.mcp.session import ServerAddress, ServerSessions, Unauthorized
from codewords_mcp.runtime.integrations.mcp.sign_in import SignIns
from codewords_mcp.runtime.integrations.mcp.tools import read_tools
from codewords_mcp.runtime.model.mcp import McpServer, ServerLaunch, ServerTool
from codewords_mcp.runtime.secrets.rules import HTTPS, make_rule
from codewords_mcp.runtime.secrets.service import SecretService
from codewords_mcp.runtime.store import mcp_servers as rows
from codewords_mcp.runtime.store.database import Database

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")
READ_TIMEOUT_S = 20.0
# Statuses by which servers of the older transport refuse a request of the newer one.
_OLDER = frozenset({400, 404, 405, 406, 415, 501})


class ServerAccess:
    """Asks servers as their owners. Every method that asks raises AddressRefused, UpstreamFailed, UpstreamTimedOut."""

    def __init__(
        self,
        database: Database,
        secrets: SecretService,
        sign_ins: SignIns,
        packages: PackageServers,
        sessions: ServerSessions,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._sign_ins = sign_ins
        self._packages = packages
        self._sessions = sessions

    async def list_tools(self, owner: str, server: McpServer) -> tuple[list[ServerTool], str, str]:
        """(tools, title, transport). Falls back to the older transport where the newer one is refused."""
        address = await self.address(owner, server)
        try:
            try:
                tools, title = await self._ask(owner, server, address, read_tools, READ_TIMEOUT_S)
            except UpstreamFailed as error:
                if address.streams or error.upstream_status not in _OLDER:
                    raise
                older = ServerAddress(owner, address.url, True, address.token, address.auth)
                try:
                    tools, title = await self._ask(owner, server, older, read_tools, READ_TIMEOUT_S)
                except UpstreamFailed:
                    # What the newer transport met says more of a server that has neither.
                    raise error from None
                return tools, title, "sse"
        except Unauthorized as refused:
            raise await self._refused(owner, server, refused) from None
        return tools, title, server.transport

    async def ask(
        self,
        owner: str,
        server: McpServer,
        make: Callable[[Client], Coroutine[Any, Any, T]],
        seconds: float,
    ) -> T:
        """Ask a server, once. Raises AppNotConnected where it wants to know who asks, and as `address`."""
        address = await self.address(owner, server)
        try:
            return await self._ask(owner, server, address, make, seconds)
        except Unauthorized as refused:
            raise await self._refused(owner, server, refused) from None

    async def address(self, owner: str, server: McpServer) -> ServerAddress:
        """Return the way to reach a server. Raises Forbidden where its token may not go there.

        A package is installed first. Raises AppNotConnected where a secret of it is not set, EnvironmentFailed,
        UpstreamTimedOut while it is still being installed.
        """
        if server.launch is not None:
            return await self._package_address(owner, server, server.launch)
        streams = server.transport == "sse"
        if server.auth == "sign_in":
            return ServerAddress(owner, server.url, streams, auth=await self._sign_ins.auth(owner, server))

        found = await self._secrets.open(owner, [server.token_name])
        secret = found.get(server.token_name)
        if secret is None:
            return ServerAddress(owner, server.url, streams)
        if not carries_tokens(server.url):
            raise Forbidden(
                f"A token is sent over TLS only, so no request was made to {server.app}.",
                hint="Connect its https:// address.",
            )
        host = host_of(server.url)
        if secret.rule is not None and host not in secret.rule.hosts:
            raise Forbidden(
                f"The host rule of {server.token_name} does not allow {host[0]}, so no request was made.",
                remedy=Remedy(RemedyAction.SET_HOST_RULE, {"name": server.token_name, "host": host[0]}),
            )
        return ServerAddress(owner, server.url, streams, secret.value.strip())

    async def note(self, owner: str, server: McpServer, problem: str) -> McpServer:
        """Note why a server cannot be used; the server with it."""
        await self._database.write(rows.change, owner, server.name, {"problem": problem[:1_000]})
        return await self._read_again(owner, server)

    def not_connected(self, server: McpServer, state: str, reason: str = "") -> AppNotConnected:
        """The error for a server that cannot be used. `state` is missing or unhealthy."""
        words = reason or ("a person has to agree to it first" if state == "missing" else server.problem)
        return AppNotConnected(
            f"The MCP server {server.app} cannot be used: {words.rstrip('.')}.",
            app=server.app,
            state=state,
            hint="Connect it again.",
            remedy=Remedy(RemedyAction.CONNECT_INTEGRATION, {"app": server.app}),
        )

    def token_rule(self, server: McpServer) -> dict[str, Any] | None:
        """The host rule of a server's token, as links to type it have it; None where none can be."""
        if server.launch is not None:
            return None
        host, port = host_of(server.url)
        try:
            return make_rule([host if port == HTTPS else f"{host}:{port}"], ["header"]).as_json()
        except InvalidInput:
            # An address of numbers, which a rule cannot name.
            return None

    async def _ask(
        self,
        owner: str,
        server: McpServer,
        address: ServerAddress,
        make: Callable[[Client], Coroutine[Any, Any, T]],
        seconds: float,
    ) -> T:
        """Ask; once more with a new access token, where the server refused the one that it had."""
        try:
            return await self._sessions.ask(address, make, seconds)
        except Unauthorized:
            if server.auth != "sign_in" or not await self._sign_ins.expire(owner, server):
                raise
        # 401 says that nothing was carried out.
        return await self._sessions.ask(address, make, seconds)

    async def _refused(self, owner: str, server: McpServer, refused: Unauthorized) -> AppNotConnected:
        """Note how the server wants to know who asks, and return the error that says it."""
        token = await self._secrets.values(owner, [server.token_name])
        signed_in = await self._sign_ins.has_tokens(owner, server.name)
        if server.auth == "sign_in" or (refused.sign_in and not token):
            auth = "sign_in"
            if signed_in:
                reason = "the sign-in has ended"
            else:
                reason = "a person has to sign in there"
        else:
            auth = "token"
            if token:
                reason = f"it refused the token in {server.token_name}"
            else:
                reason = "it asks for a token"
        await self._database.write(rows.change, owner, server.name, {"auth": auth, "problem": reason})
        server = await self._read_again(owner, server)
        return self.not_connected(server, "unhealthy" if server.agreed else "missing", reason)

    async def _package_address(self, owner: str, server: McpServer, launch: ServerLaunch) -> ServerAddress:
        missing = await self._packages.missing_secret(owner, launch)
        if missing:
            reason = f"the secret {missing} is not set"
            server = await self.note(owner, server, reason)
            raise self.not_connected(server, "unhealthy" if server.agreed else "missing", reason)

        prepared = await self._packages.prepare(owner, server, launch)
        if prepared.launch != launch:
            # Its version is known now, and stays.
            values = {"launch": prepared.launch.model_dump(mode="json")}
            await self._database.write(rows.change, owner, server.name, values)
        return ServerAddress(owner, server.url, server=prepared)

    async def _read_again(self, owner: str, server: McpServer) -> McpServer:
        found = await self._database.read(rows.get, owner, server.name)
        if found is None:
            raise NotFound("This server was disconnected meanwhile.", hint="Connect it again.")
        return found[0]
