"""The facade's part about integrations. What is not the caller's own account is not there for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import CodewordsError, ConsentNeeded, NotFound
from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.auth.one_time_links import OneTimeLink, require_own
from codewords_mcp.runtime.auth.questions import of_call
from codewords_mcp.runtime.integrations.native_table import SERVICES
from codewords_mcp.runtime.integrations.service import RUN_TIMEOUT_S, ActionRequest
from codewords_mcp.runtime.model.caller import Caller, refuse_run
from codewords_mcp.runtime.model.integration import Account, ActionOutcome, Connection, Detail, FoundActions
from codewords_mcp.runtime.model.integration_names import plain
from codewords_mcp.runtime.model.service import CallPreview
from codewords_mcp.runtime.model.workflow import Consent
from codewords_mcp.runtime.secrets.rules import WELL_KNOWN
from codewords_mcp.runtime.workflows.validation.variables import ConnectionFacts


@dataclass(frozen=True, slots=True)
class LinkPage:
    """What the page of a link shows: the app, whose account it becomes, and whether it is connected by now."""

    app: str
    owner: str
    connected: bool


class IntegrationCalls:
    """What `Runtime` offers about integrations. Methods raise what `integrations.book.Integrations` raises."""

    _house: Container

    async def search_integrations(self, caller: Caller, query: str, *, limit: int = 8) -> FoundActions:
        """Actions and apps for a question in plain words."""
        return await self._house.integrations.directory.search(caller.owner, query, limit)

    async def list_actions(self, caller: Caller, app: str, *, query: str = "", limit: int = 30) -> Detail:
        """What can be done in an app."""
        return await self._house.integrations.directory.actions(caller.owner, app, query, limit)

    async def get_action(
        self, caller: Caller, app: str, action: str, *, prop: str = "", props: dict[str, Any] | None = None,
        query: str = "", account: str | None = None,
    ) -> Detail:  # fmt: skip
        """An action's fields, those too that come with `props`; or the values that one field takes."""
        if prop or props:  # the app is asked, by way of an account
            self._house.authorities.of(caller).require_action(app, None)
        book = self._house.integrations
        if prop:
            return await book.options(caller.owner, app, action, prop, props, query=query, account=account)
        return await book.schema(caller.owner, app, action, props, account)

    async def connect_app(self, caller: Caller, app: str, *, wait: float = 0.0) -> Connection:
        """How the app stands; where it is not connected, with a page of this runtime on which a person does it.

        With `wait`, as soon as it is connected, or after these seconds.
        """
        refuse_run(caller, "connect accounts this way; it calls the service pipedream")
        book = self._house.integrations.accounts

        if wait:
            found = await book.check_auth(caller.owner, app, wait=wait)
            if found.connected:
                return found

        found = await book.connect(caller.owner, app)
        service = SERVICES.get(plain(found.app))
        if found.status != "missing" or found.connect_link_url or service is None:
            return found

        name = service.secrets[0]
        rule = WELL_KNOWN.get(name)
        data = {"rule": None if rule is None else rule.as_json()}
        nonce = await self._house.entries.ensure(caller.owner, name, data)
        url = f"{self._house.base_url}/secrets/enter/{nonce}"

        return found.model_copy(update={"connect_link_url": url})

    async def list_connections(self, caller: Caller) -> list[Account]:
        """The accounts that are connected."""
        refuse_run(caller, "list accounts this way; it calls the service pipedream")
        return await self._house.integrations.accounts.all(caller.owner)

    async def disconnect(self, caller: Caller, account: str) -> None:
        """Forget an account at the broker. Raises NotFound."""
        refuse_run(caller, "disconnect accounts")
        await self._house.integrations.accounts.disconnect(caller.owner, account)

    async def call_integration(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], *, account: str | None = None,
        seconds: float = RUN_TIMEOUT_S, consent: Consent = Consent(allow=True),  # noqa: B008  # immutable
    ) -> ActionOutcome:  # fmt: skip
        """Do it, once. What may change something needs a person's yes where `consent` gives none: raises ConsentNeeded."""
        refuse_run(caller, "use integrations this way; it calls the service pipedream")
        book = self._house.integrations
        found = await book.directory.resolve(caller.owner, app, action, props)
        if found.action.writes:
            if not consent.allow:  # nobody is asked about what could not be done
                await book.require_ready(caller.owner, found, account)
            question = of_call(caller.owner, found.action.key, props, account)
            await self._house.consents.settle(question, consent)
        return await book.run(caller.owner, ActionRequest(app, action, props, account, seconds=seconds))

    async def preview_integration(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], *, account: str | None = None
    ) -> CallPreview:
        """What a call would do, without doing it. Raises what `call_integration` raises before it calls the app."""
        refuse_run(caller, "use integrations this way; it calls the service pipedream")
        book = self._house.integrations
        found = await book.directory.resolve(caller.owner, app, action, props)
        if not found.action.writes:
            return CallPreview(writes=False)

        await book.require_ready(caller.owner, found, account)
        question = of_call(caller.owner, found.action.key, props, account)
        return CallPreview(writes=True, asks=question.lines)

    async def call_or_ask(
        self, caller: Caller, app: str, action: str, props: dict[str, Any], **how: Any
    ) -> ActionOutcome | ConsentNeeded:
        """`call_integration`, for who can ask a person: the question is given back, not raised."""
        try:
            return await self.call_integration(caller, app, action, props, **how)
        except ConsentNeeded as question:
            return question

    async def app_connected(self, caller: Caller, app: str) -> ConnectionFacts:
        """For a validation. Never raises."""
        try:
            found = await self._house.integrations.accounts.connect(caller.owner, app)
        except NotFound as error:
            return ConnectionFacts(False, error.message, error.hint)
        except CodewordsError as error:
            return ConnectionFacts(
                None, f"nobody could find out whether {app} is connected. {error.message}", error.hint
            )

        how = f"connect_integration, or `codewords integrations connect {app}`. {found.how}"
        return ConnectionFacts(found.connected, found.message, "" if found.connected else how)

    async def peek_connection(self, caller: Caller, token: str) -> LinkPage:
        """What the page of a link shows. Raises NotFound, Forbidden for another owner's."""
        return await self._link_page(await self._linked(caller, token))

    async def follow_connection(self, caller: Caller, token: str) -> str:
        """Where a person goes on to connect. Raises NotFound, Forbidden for another owner's."""
        await self._linked(caller, token)
        return await self._house.integrations.accounts.connect_url(token)

    async def connection_made(self, caller: Caller, token: str) -> LinkPage:
        """A person is back from the broker; a link of which an account came is spent. Raises NotFound, Forbidden."""
        link = await self._linked(caller, token)
        found = await self._link_page(link)
        if found.connected:
            await self._house.integrations.accounts.spend_link(link)
        return found

    async def _linked(self, caller: Caller, token: str) -> OneTimeLink:
        refuse_run(caller, "connect accounts")
        link = await self._house.integrations.accounts.find_link(token)
        require_own(link, caller.owner)
        return link

    async def _link_page(self, link: OneTimeLink) -> LinkPage:
        app = str(link.data["app"])
        try:
            found = await self._house.integrations.accounts.check_auth(link.owner, app)
        except CodewordsError:  # the broker is away: the page is there all the same
            return LinkPage(app, link.owner, connected=False)
        return LinkPage(app, link.owner, found.connected)
