"""Whose accounts are connected, how more are, and which of them an action is run with."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import Any

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.auth.one_time_links import Links, OneTimeLink
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.directory import Directory
from codewords_mcp.runtime.integrations.errors import AppNotConnected
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.pipedream import not_configured
from codewords_mcp.runtime.integrations.pipedream_client import HOW
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.integration import Account, Action, App, Connection, variable_of
from codewords_mcp.runtime.store.clock import now

LOOK_EVERY = 2.0
LINK_LIFETIME = 3600.0
"""Seconds."""
_EARLY = 300.0
"""Seconds before its end from which a link is not given out again."""


class ConnectedAccounts:
    """For one event loop. `owner` is whose accounts and tokens are meant.

    Beside what is named, methods raise what the broker raises (see `base.Broker`).
    """

    def __init__(
        self,
        broker: IntegrationBroker,
        native: NativeActions,
        directory: Directory,
        links: Links,
        *,
        base_url: Callable[[], str],
        user_prefix: str,
    ) -> None:
        self._broker = broker
        self._native = native
        self._directory = directory
        self._links = links
        self._base_url = base_url
        self._prefix = user_prefix

    async def check_auth(self, owner: str, app: str, *, wait: float = 0.0) -> Connection:
        """How it stands; with `wait`, as soon as it is connected, or after these seconds. Raises NotFound."""
        slug, end = names.app_of(app), time.monotonic() + wait
        while True:
            found = await self._status(owner, slug)
            left = end - time.monotonic()
            if found.connected or found.status == "not_configured" or left <= 0:
                return found
            await asyncio.sleep(min(LOOK_EVERY, left))

    async def connect(self, owner: str, app: str) -> Connection:
        """The same, with a link for a person where a broker can connect it and it is not."""
        found = await self.check_auth(owner, app)
        if found.connected or found.status == "not_configured" or await self._broker.project() is None:
            return found

        if found.accounts:
            slug = found.accounts[0].app
        else:
            slug = names.family(found.app)[0]

        url = await self._link(owner, slug)
        return found.model_copy(
            update={"connect_link_url": url, "how": f"A person opens {url} and connects the account."}
        )

    async def all(self, owner: str) -> list[Account]:
        """All that are connected, tokens that are set among them."""
        found = await self._native.accounts(owner)
        if await self._broker.project() is not None:
            found += await self._broker.accounts(self.user(owner))
        return found

    async def disconnect(self, owner: str, account: str) -> None:
        """Forget an account at the broker. Raises NotFound; InvalidInput for a token, which is a secret."""
        if account in {name for service in SERVICES.values() for name in service.secrets}:
            raise InvalidInput(
                "This account is a secret.", hint=f"`codewords secrets delete {account}` deletes it."
            )
        if await self._broker.project() is None:
            raise not_configured()
        await self._broker.disconnect(self.user(owner), account)

    async def linked(self, token: str) -> OneTimeLink:
        """Whose link it is, and in its data which app. Raises NotFound."""
        link = await self._links.find(token)
        if link is None:
            raise NotFound(
                "This link is not valid: it was used, or has expired.",
                hint="Ask for a new one: connect_integration, or `codewords integrations connect APP`.",
            )
        return link

    async def onward(self, token: str) -> str:
        """Where the person goes to connect. The broker is asked when a person goes there, not before. Raises NotFound."""
        link = await self.linked(token)
        back = f"{self._base_url()}/connect/{token}/done"
        return (await self._broker.connect(self.user(link.owner), link.data["app"], back)).url

    async def used(self, link: OneTimeLink) -> None:
        """An account came of it, and no other will."""
        await self._links.spend(link)

    def user(self, owner: str) -> str:
        """How the broker knows this owner."""
        return f"{self._prefix}{owner}"

    async def chosen_for(self, owner: str, action: Action, wanted: str | None) -> dict[str, str]:
        """Which account is put into which of the action's fields. Raises AppNotConnected, NotFound."""
        chosen: dict[str, str] = {}
        index, _ = await self._directory.index()

        for prop in action.props:
            app = prop.app or action.app
            known = index.apps.get(app)
            if prop.type != "app" or (known is not None and known.auth == "none"):
                continue

            found = await self._accounts_of(owner, app)
            healthy = [one for one in found if one.healthy]
            if wanted is not None and app == action.app:
                if wanted not in {one.id for one in found}:
                    raise NotFound(
                        "There is no connected account of this id.",
                        hint="`codewords connections` shows them.",
                    )
                healthy = [one for one in healthy if one.id == wanted]

            if not healthy:
                raise await self.unconnected(owner, app, "unhealthy" if found else "missing")

            chosen[prop.name] = healthy[0].id

        return chosen

    async def unconnected(self, owner: str, app: str, state: str) -> AppNotConnected:
        """The refusal, with a link for a person. `state` is missing or unhealthy."""
        url = await self._link(owner, app)
        if state == "unhealthy":
            why = "lost its access"
        else:
            why = "is missing"
        return AppNotConnected(
            f"The account of {app} {why}, so nothing was run.",
            app=app, state=state, connect_link_url=url, hint=f"A person opens {url} and connects it; then do it again.",
        )  # fmt: skip

    async def revoked(self, owner: str, action: Action) -> AppNotConnected:
        """The refusal where the account's access has ended."""
        error = await self.unconnected(owner, action.app, "unhealthy")
        error.message = f"The account of {action.app} cannot be used any more."
        return error

    # inside

    async def _link(self, owner: str, app: str) -> str:
        """The address of a page for this; asked for again soon, the same one."""
        subject = hashlib.sha256(app.encode()).hexdigest()
        link = await self._links.about(owner, subject)
        if link is not None and link.row["expires_at"] - now() > _EARLY * 1e6:
            token = link.token
        else:
            token = await self._links.create(owner, subject, {"app": app})
        return f"{self._base_url()}/connect/{token}"

    async def _status(self, owner: str, slug: str) -> Connection:
        def told(status: Any, message: str, how: str = "", accounts: tuple[Account, ...] = ()) -> Connection:
            connected = status in {"connected", "not_required"}
            return Connection(
                app=slug,
                status=status,
                connected=connected,
                env_var=variable_of(slug),
                message=message,
                how=how,
                accounts=accounts,
            )

        if slug == "http":
            return told("not_required", "Requests need no account.")

        own = await self._native.account(owner, names.plain(slug))
        service = SERVICES.get(names.plain(slug))
        if await self._broker.project() is None:
            if own is not None:
                return told("connected", f"{slug} is used with your own {own.name}.", accounts=(own,))
            if service is not None:
                how = f"{service.how} Then `codewords secrets set {service.secrets[0]}`."
                return told("missing", f"{slug} is not connected: {service.secrets[0]} is not set.", how)
            return told("not_configured", f"{slug} needs a Pipedream project, and none is configured.", HOW)

        found = [account for one in names.family(slug) for account in await self._accounts_of(owner, one)]
        healthy = [account for account in found if account.healthy]
        if own is not None or healthy:
            accounts = (*([own] if own else []), *healthy)
            if len(accounts) > 1:
                which = f" ({len(accounts)} accounts)"
            else:
                which = ""

            return told("connected", f"{slug} is connected{which}.", accounts=accounts)

        if found:
            message = f"The account of {slug} lost its access and has to be connected again."
            return told("unhealthy", message, accounts=tuple(found))

        index, _ = await self._directory.index()
        if service is None and not self._directory.is_known(slug, index):
            raise self._directory.no_app(slug, index)

        app = index.apps.get(slug) or App(slug=slug, name=slug)
        if app.auth == "none":
            return told("not_required", f"{slug} needs no account.")

        return told("missing", f"No account of {slug} is connected.")

    async def _accounts_of(self, owner: str, app: str) -> list[Account]:
        """The broker has been seen to say none where there is one: a "none" is asked for twice."""
        user = self.user(owner)
        return await self._broker.accounts(user, app) or await self._broker.accounts(user, app)
