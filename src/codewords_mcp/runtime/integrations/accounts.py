"""Connected accounts: their state, links to connect more, and the choice of accounts for an action."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any

from codewords_mcp.errors import CodewordsError, InvalidInput, NotFound
from codewords_mcp.errors.remedies import Remedy, RemedyAction, set_secret
from codewords_mcp.runtime.auth.one_time_links import Links, OneTimeLink
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.directory import Directory
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.integrations.mcp.servers import McpServers
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.pipedream import not_configured
from codewords_mcp.runtime.integrations.pipedream_client import SETUP, SETUP_HINT
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.integration import Account, Action, App, Connection, variable_of
from codewords_mcp.runtime.model.mcp import PREFIX, AgreedTool, McpServer, changed_parts, server_of
from codewords_mcp.runtime.model.plain_text import quoted
from codewords_mcp.runtime.store.clock import now

POLL_INTERVAL_S = 2.0
LINK_TTL_S = 3600.0
"""Seconds."""
# Seconds before its expiry from which a link is no longer given out.
_LINK_MARGIN_S = 300.0
_MAX_NAME = 80


def account_of_server(server: McpServer) -> Account:
    """An MCP server as a connected account."""
    return Account(id=server.app, app=server.app, name=server.url, healthy=not server.problem, backend="mcp")


class ConnectedAccounts:
    """The accounts of all owners. For one event loop. `owner` selects whose accounts and tokens are
    used. `on_connected(owner, app)` is called when a person has connected an account.

    All methods also raise the errors of the broker (see `base.IntegrationBroker`).
    """

    def __init__(
        self,
        broker: IntegrationBroker,
        native: NativeActions,
        servers: McpServers,
        directory: Directory,
        links: Links,
        *,
        base_url: Callable[[], str],
        user_prefix: str,
        on_connected: Callable[[str, str], object],
    ) -> None:
        self._on_connected = on_connected
        self._broker = broker
        self._native = native
        self._servers = servers
        self._directory = directory
        self._links = links
        self._base_url = base_url
        self._prefix = user_prefix

    async def check_auth(self, owner: str, app: str, *, wait: float = 0.0) -> Connection:
        """Return the state; with `wait`, as soon as it is connected, or after that many seconds.
        Raises NotFound.
        """
        slug, deadline = names.app_of(app), time.monotonic() + wait
        while True:
            found = await self._status(owner, slug)
            remaining = deadline - time.monotonic()
            if found.connected or found.status == "not_configured" or remaining <= 0:
                return found
            # A person may connect at any moment, and the broker does not tell: it is asked again.
            await asyncio.sleep(min(POLL_INTERVAL_S, remaining))

    async def connect(self, owner: str, app: str) -> Connection:
        """As `check_auth`, with a link for a person if a broker can connect the app and no account
        is connected.
        """
        found = await self.check_auth(owner, app)
        if server_of(found.app) is not None:
            return await self._server_connection(owner, found)
        if found.connected or found.status == "not_configured" or await self._broker.project() is None:
            return found

        # The app whose account lost its access, else the one that most people use.
        if found.accounts:
            slug = found.accounts[0].app
        else:
            slug = names.family(found.app)[0]

        return await self._with_link(owner, found, slug, "A person opens {url} and connects the account.")

    async def _server_connection(self, owner: str, found: Connection) -> Connection:
        """The state of a server with its page, where a person has something to agree to or to sign in."""
        if not found.connected:
            return await self._with_link(owner, found, found.app, "A person opens {url} and connects it.")
        review = await self._servers.review(owner, found.app.removeprefix(PREFIX), read=False)
        if not review.changes:
            return found
        changed = f"{len(review.changes)} of its tools changed, or are new, since a person agreed"
        linked = await self._with_link(
            owner, found, found.app, f"A person opens {{url}} and agrees: {changed}."
        )
        return linked.model_copy(update={"message": f"{found.message} {linked.how}"})

    async def _with_link(self, owner: str, found: Connection, app: str, how: str) -> Connection:
        url = await self.connect_link(owner, app)
        return found.model_copy(update={"connect_link_url": url, "how": how.format(url=url)})

    async def all(self, owner: str) -> list[Account]:
        """All connected accounts, including tokens that are set."""
        found = await self._native.accounts(owner)
        found += [account_of_server(server) for server in await self._servers.all(owner) if server.agreed]
        if await self._broker.project() is not None:
            found += await self._broker.accounts(self.user(owner))
        return found

    async def disconnect(self, owner: str, account: str) -> None:
        """Delete an account at the broker. Raises NotFound; InvalidInput for a token, which is a
        secret.
        """
        name = server_of(account)
        if name is not None:
            await self._servers.disconnect(owner, name)
            return
        # Their ids are the names of secrets, which the broker does not know.
        if account in {name for service in SERVICES.values() for name in service.secrets}:
            raise InvalidInput(
                "This account is a secret of the runtime.",
                remedy=Remedy(RemedyAction.DELETE_SECRET, {"name": account}),
            )
        if await self._broker.project() is None:
            raise not_configured()
        await self._broker.disconnect(self.user(owner), account)

    async def find_link(self, token: str) -> OneTimeLink:
        """Return the stored link of this token; its data names the app. Raises NotFound."""
        link = await self._links.find(token)
        if link is None:
            raise NotFound(
                "This link is not valid: it was used, or has expired.",
                hint="Ask for a new one.",
            )
        return link

    async def connect_url(self, token: str) -> str:
        """Return the broker's address at which the person connects. Raises NotFound."""
        # Made when the person follows our link, because the broker's expires sooner.
        link = await self.find_link(token)
        name = server_of(link.data["app"])
        if name is not None:
            server = await self._servers.require(link.owner, name)
            return await self._servers.sign_ins.begin(link.owner, server, f"/connect/{token}")
        back = f"{self._base_url()}/connect/{token}/done"
        return (await self._broker.connect(self.user(link.owner), link.data["app"], back)).url

    async def spend_link(self, link: OneTimeLink) -> None:
        """Mark a link as used after an account was connected by it."""
        await self._links.spend(link)
        self._on_connected(link.owner, link.data["app"])

    def user(self, owner: str) -> str:
        """Return the broker's id of this owner."""
        return f"{self._prefix}{owner}"

    async def choose_accounts(self, owner: str, action: Action, account_id: str | None) -> dict[str, str]:
        """Choose the account for each account field of the action. Raises AppNotConnected,
        NotFound.
        """
        accounts_by_field: dict[str, str] = {}
        index, _ = await self._directory.index()

        for prop in action.props:
            app = prop.app or action.app
            known = index.apps.get(app)
            # An app that needs no sign-in has no account either.
            if prop.type != "app" or (known is not None and known.auth == "none"):
                continue

            found = await self._accounts_of(owner, app)
            healthy = [account for account in found if account.healthy]
            # The id counts for the app of the action; other fields may need other apps.
            if account_id is not None and app == action.app:
                if account_id not in {account.id for account in found}:
                    raise NotFound(
                        "No connected account has this id.",
                        remedy=Remedy(RemedyAction.LIST_CONNECTIONS),
                    )
                # Accounts come newest first, and one of them is chosen.
                healthy = [account for account in healthy if account.id == account_id]

            if not healthy:
                # Only an account that exists can have lost its access.
                named = [account for account in found if account.id == account_id] or found
                raise await self.not_connected_error(owner, app, named[0] if named else None)

            accounts_by_field[prop.name] = healthy[0].id

        return accounts_by_field

    async def not_connected_error(self, owner: str, app: str, account: Account | None) -> AppNotConnected:
        """Return the error, with a link for a person. `account`: the one that lost its access; None where there is none."""
        url = await self.connect_link(owner, app)
        reason = "is missing" if account is None else "lost its access"
        return AppNotConnected(
            f"The account{_named(account)} of {app} {reason}, so nothing was run.",
            app=app,
            state="missing" if account is None else "unhealthy",
            connect_link_url=url,
            hint=f"A person opens {url} and connects it; then do it again.",
            remedy=Remedy(RemedyAction.CONNECT_INTEGRATION, {"app": app}),
        )

    async def tool_changed_error(self, owner: str, tool: AgreedTool) -> AppNotConnected:
        """Return the error for a tool that a person has not agreed to as its server describes it now."""
        url = await self.connect_link(owner, tool.server.app)
        name = tool.now.name if tool.now is not None else ""
        return AppNotConnected(
            f"The tool {name} of {tool.server.app} is not as a person agreed to it, so nothing was called: "
            f"{changed_parts(tool.agreed, tool.now)}.",
            app=tool.server.app, state="unhealthy", connect_link_url=url,
            hint=f"A person opens {url} and agrees to it as it is now; then do it again.",
        )  # fmt: skip

    async def access_lost_error(self, owner: str, action: Action, account_id: str | None) -> AppNotConnected:
        """Return the error for an account whose access has ended, in the middle of an action."""
        found = [
            account for account in await self._known_accounts(owner, action.app) if account.id == account_id
        ]
        if found:
            account = found[0]
        else:
            account = Account(id=account_id or "", app=action.app)
        error = await self.not_connected_error(owner, action.app, account)
        error.message = f"The account{_named(account)} of {action.app} can't be used any longer."
        return error

    async def _known_accounts(self, owner: str, app: str) -> list[Account]:
        try:
            return await self._broker.accounts(self.user(owner), app)
        except CodewordsError:
            # Its name is a help, and the broker may be away.
            return []

    async def connect_link(self, owner: str, app: str) -> str:
        """Return the address of a page on which a person connects this app. Asks no broker."""
        # The same one while it is valid for long enough, so that calls in a loop do not fill the store with links.
        subject = hashlib.sha256(app.encode()).hexdigest()
        link = await self._links.about(owner, subject)
        if link is not None and link.row["expires_at"] - now() > _LINK_MARGIN_S * 1e6:
            token = link.token
        else:
            token = await self._links.create(owner, subject, {"app": app})
        return f"{self._base_url()}/connect/{token}"

    async def _status(self, owner: str, slug: str) -> Connection:
        def connection(
            status: Any,
            message: str,
            how: str = "",
            accounts: tuple[Account, ...] = (),
            remedy: Remedy | None = None,
        ) -> Connection:
            connected = status in {"connected", "not_required"}
            return Connection(
                app=slug,
                status=status,
                connected=connected,
                env_var=variable_of(slug),
                message=message,
                how=how,
                remedy=remedy,
                accounts=accounts,
            )

        if slug == "http":
            return connection("not_required", "Requests need no account.")
        if server_of(slug) is not None:
            return await self._server_status(owner, slug)

        # An owner's own token needs no broker.
        own_token = await self._native.account(owner, names.plain(slug))
        service = SERVICES.get(names.plain(slug))
        if await self._broker.project() is None:
            if own_token is not None:
                return connection(
                    "connected", f"{slug} is used with your own {own_token.name}.", accounts=(own_token,)
                )
            if service is not None:
                remedy = set_secret(service.secrets[0])
                return connection(
                    "missing",
                    f"{slug} is not connected: {service.secrets[0]} is not set.",
                    f"{service.how} {remedy.words}",
                    remedy=remedy,
                )
            return connection(
                "not_configured",
                f"{slug} needs a Pipedream project, and none is configured.",
                SETUP_HINT,
                remedy=SETUP,
            )

        # An app may have several names at the broker, with accounts under each.
        found = [
            account for app_name in names.family(slug) for account in await self._accounts_of(owner, app_name)
        ]
        healthy = [account for account in found if account.healthy]
        if own_token is not None or healthy:
            accounts = (*([own_token] if own_token else []), *healthy)
            if len(accounts) > 1:
                count = f" ({len(accounts)} accounts)"
            else:
                count = ""

            return connection("connected", f"{slug} is connected{count}.", accounts=accounts)

        if found:
            message = f"The account of {slug} lost its access and has to be connected again."
            return connection("unhealthy", message, accounts=tuple(found))

        index, _ = await self._directory.index()
        if service is None and not self._directory.is_known(slug, index):
            raise self._directory.no_app(slug, index)

        app = index.apps.get(slug) or App(slug=slug, name=slug)
        if app.auth == "none":
            return connection("not_required", f"{slug} needs no account.")

        return connection("missing", f"No account of {slug} is connected.")

    async def _server_status(self, owner: str, slug: str) -> Connection:
        """The state of an MCP server as a connection."""
        server = await self._servers.find(owner, slug)
        if server is None:
            raise NotFound(
                "There is no MCP server of this name.",
                hint="Connect one by its address or package, as in https://mcp.example.com/mcp or pypi:mcp-server-fetch.",
            )
        if server.agreed and server.problem:
            # It may work again by now: a token was typed, or the server is back.
            server = await self._servers.read(owner, server)
        if server.agreed and not server.problem:
            status, message = "connected", f"{slug} is connected: {server.tools} tools of {server.url}."
        elif server.agreed:
            status, message = "unhealthy", f"{slug} does not work: {server.problem.rstrip('.')}."
        else:
            status, message = (
                "missing",
                f"{slug} is not connected: a person has to agree to the server first.",
            )
        return Connection(
            app=slug, status=status, connected=status == "connected", env_var="", message=message,
            accounts=(account_of_server(server),) if server.agreed else (),
        )  # fmt: skip

    async def _accounts_of(self, owner: str, app: str) -> list[Account]:
        """List accounts."""
        # The broker was seen to return none although there was one, so none is confirmed once.
        user = self.user(owner)
        return await self._broker.accounts(user, app) or await self._broker.accounts(user, app)


def _named(account: Account | None) -> str:
    """The name of an account as it stands in a sentence, "" without one."""
    if account is None or not account.name:
        return ""
    return f" {quoted(account.name, _MAX_NAME)}"
