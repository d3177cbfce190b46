"""Accounts of other apps."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import CodewordsError, Conflict, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.one_time_links import OneTimeLink, require_own
from codewords_mcp.runtime.integrations.mcp.addresses import is_address
from codewords_mcp.runtime.integrations.mcp.package_names import is_package
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.integration import Account, Connection
from codewords_mcp.runtime.model.integration_names import plain
from codewords_mcp.runtime.model.mcp import LaunchChoice, McpServer, RegistryServer, ServerReview
from codewords_mcp.runtime.secrets.rules import WELL_KNOWN
from codewords_mcp.runtime.store.connection_users import users_of_apps
from codewords_mcp.runtime.workflows.validation.variables import ConnectionFacts


@dataclass(frozen=True, slots=True)
class LinkPage:
    """The content of a link's page: the app, the account's owner, and whether the app is connected by now.

    `review` is of an MCP server, which is connected by agreeing to it; `token_url` is the page to type its token, or
    the secret `token_name` of it that is not set.
    """

    app: str
    owner: str
    connected: bool
    review: ServerReview | None = None
    token_url: str = ""
    token_name: str = ""


class ConnectionApi:
    """Accounts of other apps that a person connects."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def connect(self, caller: Caller, app: str, *, wait: float = 0.0) -> Connection:
        """Describe the connection of an app; without one, with a page of this runtime on which a person connects it.

        With `wait`, returns once it is connected, or after these seconds.
        """
        refuse_run(caller, "connect accounts this way; it calls the service pipedream")
        if is_address(app) or is_package(app):
            return await self.connect_server(caller, app)
        accounts = self._container.integrations.accounts

        if wait:
            # Waited for first: a link is only made if the person has not connected in the
            # meantime.
            found = await accounts.check_auth(caller.owner, app, wait=wait)
            if found.connected:
                return found

        found = await accounts.connect(caller.owner, app)
        service = SERVICES.get(plain(found.app))
        if found.status != "missing" or found.connect_link_url or service is None:
            return found

        # These apps have no sign-in page at the broker but a key, which the person types on a
        # page of this runtime. It never passes through the chat.
        name = service.secrets[0]
        rule = WELL_KNOWN.get(name)
        data = {"rule": None if rule is None else rule.as_json()}
        nonce = await self._container.secret_links.ensure(caller.owner, name, data)
        url = f"{self._container.base_url}/secrets/enter/{nonce}"

        return found.model_copy(update={"connect_link_url": url})

    async def connect_server(
        self,
        caller: Caller,
        url: str,
        *,
        name: str = "",
        agree: bool = False,
        believe: bool = False,
        choice: LaunchChoice | None = None,
    ) -> Connection:
        """Connect an MCP server by its address, or its package: with a page where a person agrees to it.

        `agree`: a person's own key says yes at once, where the server asks for neither token nor sign-in.
        `believe`: its word for which tools only read is taken. `choice` is how a person lets a package's server run.
        Raises InvalidInput, AddressRefused, UpstreamFailed.
        """
        refuse_run(caller, "connect MCP servers")
        integrations = self._container.integrations
        server = await integrations.servers.register(caller.owner, url, name, choice)
        if agree:
            await integrations.servers.install(caller.owner, server)
            review = await integrations.servers.review(caller.owner, server.name)
            if not review.server.problem:
                await integrations.servers.agree(caller.owner, server.name, review.digests, believed=believe)
        return await integrations.accounts.connect(caller.owner, server.app)

    async def search_servers(
        self, caller: Caller, query: str, *, limit: int = 20
    ) -> builtins.list[RegistryServer]:
        """Find MCP servers in the registry. Raises InvalidInput, UpstreamFailed."""
        refuse_run(caller, "search for MCP servers")
        return await self._container.integrations.servers.search_registry(query, limit)

    async def agree_to_server(self, caller: Caller, token: str, *, seen: str, believe: bool) -> LinkPage:
        """Agree to the server of a link, as it was shown with the digest `seen`, and spend the link.

        Raises NotFound, Forbidden for another owner's, Conflict where it changed meanwhile.
        """
        link = await self._find_link(caller, token)
        servers = self._container.integrations.servers
        server = await servers.find(link.owner, str(link.data["app"]))
        if server is None:
            raise NotFound("This server was disconnected.", hint="Connect it again.")

        review = await servers.review(link.owner, server.name, read=False)
        if review.seen != seen:
            raise Conflict("The server changed its tools meanwhile.", hint="Go back and look again.")
        if review.server.problem:
            raise Conflict("The server does not work yet.", hint="Go back and see what is missing.")
        await servers.agree(link.owner, server.name, review.digests, believed=believe)
        await self._container.integrations.accounts.spend_link(link)
        return await self._link_page(link)

    async def choose_launch(self, caller: Caller, token: str, choice: LaunchChoice) -> None:
        """Change how the package of a link's server is started. A person has to agree to it anew.

        Raises NotFound, Forbidden for another owner's, InvalidInput.
        """
        link = await self._find_link(caller, token)
        servers = self._container.integrations.servers
        server = await servers.find(link.owner, str(link.data["app"]))
        if server is None:
            raise NotFound("This server was disconnected.", hint="Connect it again.")
        await servers.choose_launch(link.owner, server, choice)

    async def complete_sign_in(
        self, caller: Caller, *, state: str, code: str, issuer: str | None, refusal: str
    ) -> str:
        """End a sign-in at an MCP server. Returns the page of this runtime to go on with. Raises NotFound."""
        refuse_run(caller, "sign in at MCP servers")
        servers = self._container.integrations.servers
        name, page = await servers.sign_ins.complete(
            caller.owner, state=state, code=code, issuer=issuer, refusal=refusal
        )
        await servers.signed_in(caller.owner, name)
        return page

    def client_document(self) -> dict[str, object]:
        """The document by which this runtime is known as an OAuth client. Raises NotFound without a public address."""
        return self._container.integrations.servers.sign_ins.client_document()

    async def disconnect(self, caller: Caller, account: str) -> None:
        """Forget an account at the broker. Raises NotFound."""
        refuse_run(caller, "disconnect accounts")
        # Before: without the account its triggers are harder to take down.
        await self._container.event_sources.account_removed(caller.owner, account)
        await self._container.integrations.accounts.disconnect(caller.owner, account)

    async def check(self, caller: Caller, app: str) -> ConnectionFacts:
        """For a validation. Never raises."""
        try:
            found = await self._container.integrations.accounts.connect(caller.owner, app)
        except NotFound as error:
            return ConnectionFacts(False, error.message, error.hint, error.remedy)
        except CodewordsError as error:
            # None, not False: a validation must not fail because a broker is unreachable.
            return ConnectionFacts(
                None,
                f"nobody could find out whether {app} is connected. {error.message}",
                error.hint,
                error.remedy,
            )

        if found.connected:
            return ConnectionFacts(True, found.message)

        if found.remedy is not None:
            return ConnectionFacts(False, found.message, found.how, found.remedy)

        remedy = Remedy(RemedyAction.CONNECT_INTEGRATION, {"app": app})
        return ConnectionFacts(False, found.message, f"{remedy.words} {found.how}".rstrip(), remedy)

    async def peek_link(self, caller: Caller, token: str) -> LinkPage:
        """Read the content of a link's page. Raises NotFound, Forbidden for another owner's."""
        return await self._link_page(await self._find_link(caller, token))

    async def follow_link(self, caller: Caller, token: str) -> str:
        """Return the URL where a person goes on to connect. Raises NotFound, Forbidden for another owner's."""
        await self._find_link(caller, token)
        return await self._container.integrations.accounts.connect_url(token)

    async def complete_link(self, caller: Caller, token: str) -> LinkPage:
        """Read the content of a link's page for a person back from the broker. Raises NotFound, Forbidden.

        The link is spent where its account is connected.
        """
        # Spent only after the broker confirms: a person who closes the page early can come
        # back.
        link = await self._find_link(caller, token)
        found = await self._link_page(link)
        if found.connected:
            await self._container.integrations.accounts.spend_link(link)
        return found

    async def list(self, caller: Caller) -> list[Account]:
        """List the connected accounts with the workflows that use each."""
        refuse_run(caller, "list accounts this way; it calls the service pipedream")
        found = await self._container.integrations.accounts.all(caller.owner)
        users = await self._container.database.read(users_of_apps, caller.owner)
        return [account.model_copy(update={"used_by": tuple(users[account.app])}) for account in found]

    async def _find_link(self, caller: Caller, token: str) -> OneTimeLink:
        refuse_run(caller, "connect accounts")
        link = await self._container.integrations.accounts.find_link(token)
        require_own(link, caller.owner)
        return link

    async def _link_page(self, link: OneTimeLink) -> LinkPage:
        app = str(link.data["app"])
        servers = self._container.integrations.servers
        server = await servers.find(link.owner, app)
        if server is not None:
            review = await servers.review(link.owner, server.name)
            name, rule = await self._missing_secret(link.owner, review.server)
            token_url = ""
            if name:
                nonce = await self._container.secret_links.ensure(link.owner, name, {"rule": rule})
                token_url = f"{self._container.base_url}/secrets/enter/{nonce}"
            connected = review.server.agreed and not review.server.problem and not review.changes
            return LinkPage(app, link.owner, connected, review, token_url, name)
        try:
            found = await self._container.integrations.accounts.check_auth(link.owner, app)
        except CodewordsError:  # the broker is away: the page is there all the same
            return LinkPage(app, link.owner, connected=False)
        return LinkPage(app, link.owner, found.connected)

    async def _missing_secret(self, owner: str, server: McpServer) -> tuple[str, dict[str, Any] | None]:
        """(the name of a secret that a server lacks, its host rule); "" for none."""
        servers = self._container.integrations.servers
        if server.launch is not None:
            name = await servers.packages.missing_secret(owner, server.launch)
            rule = WELL_KNOWN.get(name)
            return name, None if rule is None else rule.as_json()
        if server.auth == "token" and server.problem:
            return server.token_name, servers.access.token_rule(server)
        return "", None
