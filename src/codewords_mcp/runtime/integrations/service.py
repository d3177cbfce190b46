"""Integrations for the rest of the runtime: actions are described, configured and run, at a broker
or natively.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput, NotFound, UpstreamFailed
from codewords_mcp.runtime.auth.one_time_links import Links
from codewords_mcp.runtime.integrations.accounts import ConnectedAccounts
from codewords_mcp.runtime.integrations.app_events import AppEvents
from codewords_mcp.runtime.integrations.base import (
    BrokerRunResult,
    ConfiguredAction,
    EventBroker,
    IntegrationBroker,
)
from codewords_mcp.runtime.integrations.configure import configure_props, require_complete
from codewords_mcp.runtime.integrations.directory import Directory, ResolvedAction
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.mcp.servers import McpServers
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_api import NativeAction
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.model.integration import Action, ActionOutcome, Detail, Prop
from codewords_mcp.runtime.store.database import Database

RUN_TIMEOUT_S = 90.0
_MAX_RELOADS = 3


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """An action to run. Without `account` the newest healthy one is used."""

    app: str
    action: str
    props: dict[str, Any]
    account: str | None = None
    dynamic_id: str | None = None
    seconds: float = RUN_TIMEOUT_S


class Integrations:
    """Actions run with connected accounts. `directory` lists actions, `accounts` manages accounts, `events` has the
    events of apps.

    For one event loop; `close` it. `on_state(owner, app, healthy)` is called where an account turned
    out to work, or to have lost its access. `owner` selects whose accounts and tokens are used. All methods
    also raise the errors of the broker (see `base.IntegrationBroker`).
    """

    def __init__(
        self,
        broker: IntegrationBroker,
        event_broker: EventBroker,
        native: NativeActions,
        servers: McpServers,
        database: Database,
        links: Links,
        *,
        base_url: Callable[[], str],
        user_prefix: str,
        on_state: Callable[[str, str, bool], object],
    ) -> None:
        self._on_state = on_state
        self._broker = broker
        self._native = native
        self.servers = servers
        self.directory = Directory(broker, native, servers, database)
        self.accounts = ConnectedAccounts(
            broker, native, servers, self.directory, links, base_url=base_url, user_prefix=user_prefix,
            on_connected=lambda owner, app: self._report(owner, app, healthy=True),
        )  # fmt: skip
        self.events = AppEvents(event_broker, self.accounts)

    async def close(self) -> None:
        """Stop the background reading, and end the sessions with MCP servers."""
        await self.directory.close()
        await self.servers.close()

    async def schema(
        self,
        owner: str,
        app: str,
        action: str,
        props: dict[str, Any] | None = None,
        account: str | None = None,
    ) -> Detail:
        """Return an action's fields; with `props`, also those that exist once these are set.

        Raises NotFound, AppNotConnected.
        """
        resolved = await self.directory.resolve(owner, app, action, props or {})
        if resolved.tool is not None or resolved.native is not None or not resolved.props:
            return Detail(app=resolved.action.app, action=resolved.action)
        # Fields that depend on others are computed by the app, through an account.
        accounts = await self.accounts.choose_accounts(owner, resolved.action, account)
        action_now, dynamic_id = await self._reload_fields(
            owner, resolved.action, resolved.props, accounts, None
        )
        return Detail(app=action_now.app, action=action_now, dynamic_props_id=dynamic_id)

    async def options(
        self, owner: str, app: str, action: str, prop: str, props: dict[str, Any] | None = None,
        *, query: str = "", account: str | None = None, dynamic_id: str | None = None,
    ) -> Detail:  # fmt: skip
        """List the values of a field. Raises NotFound, AppNotConnected, InvalidInput for an unknown
        field.
        """
        resolved = await self.directory.resolve(owner, app, action, props or {})
        field = next((field for field in resolved.action.fields if field.name == prop), None)
        # A field may be one that came by a reload, which only the broker knows.
        if field is None and dynamic_id is None:
            known = ", ".join(f"`{field.name}`" for field in resolved.action.fields)
            raise InvalidInput(
                f"{resolved.action.key} has no field of this name.", hint=f"Its fields are {known}."
            )

        if (
            resolved.tool is not None
            or resolved.native is not None
            or (field is not None and not field.remote)
        ):
            listed_values = [
                {"label": str(value), "value": value} for value in (field.options if field else ())
            ]
            if listed_values:
                note = ""
            else:
                note = "This field accepts any value of its type."

            return Detail.model_validate({"app": resolved.action.app, "options": listed_values, "note": note})

        accounts = await self.accounts.choose_accounts(owner, resolved.action, account)
        request = ConfiguredAction(
            resolved.action, configure_props(resolved.action, resolved.props, accounts), dynamic_id
        )
        listed = await self._broker.options(self.accounts.user(owner), request, prop, query or None)

        return Detail(app=resolved.action.app, options=tuple(listed))

    async def require_ready(self, owner: str, resolved: ResolvedAction, account: str | None = None) -> None:
        """Raise the errors that `run` would raise before it calls the app.

        Raises AppNotConnected, Forbidden for a token that may not go to the host, InvalidInput for
        a missing field of a native action.
        """
        # A person should not consent to a run that must fail.
        if resolved.tool is not None:
            await self.servers.require_ready(owner, resolved.tool, resolved.props)
            return
        if resolved.native is None:
            await self.accounts.choose_accounts(owner, resolved.action, account)
            return
        require_complete(resolved.native.action, configure_props(resolved.native.action, resolved.props, {}))
        await self._native.require_connected(owner, resolved.native)

    async def run(
        self,
        owner: str,
        request: ActionRequest,
        policy: EgressPolicy | None = None,
        resolved: ResolvedAction | None = None,
    ) -> ActionOutcome:
        """Run an action, once. `policy` limits the hosts of an HTTP request. `resolved` is the request's
        action, where that is known already.

        Raises NotFound, InvalidInput naming missing fields, AppNotConnected, IntegrationFailed,
        TooBusy, UpstreamTimedOut.
        """
        try:
            outcome = await self._run(owner, request, policy, resolved)
        except AppNotConnected as error:
            if error.state == "unhealthy":
                self._report(owner, error.app, healthy=False)
            raise

        self._report(owner, request.app, healthy=True)
        return outcome

    async def call_tool(
        self,
        owner: str,
        app: str,
        tool: str,
        arguments: dict[str, Any],
        seconds: float,
        *,
        maker: str | None,
    ) -> ActionOutcome:
        """Call a tool of an MCP server for a workflow, where no person is there to be asked.

        Raises NotFound, InvalidInput, AppNotConnected, also where the tool changed since a person agreed
        to it; IntegrationFailed, UpstreamFailed, UpstreamTimedOut.
        """
        try:
            found = await self.servers.tool(owner, app, tool)
            if not found.is_agreed:
                raise await self.accounts.tool_changed_error(owner, found)
            outcome = await self.servers.call(owner, found, arguments, seconds, maker)
        except AppNotConnected as error:
            if error.state == "unhealthy":
                self._report(owner, app, healthy=False)
            raise

        self._report(owner, app, healthy=True)
        return outcome

    def _report(self, owner: str, app: str, *, healthy: bool) -> None:
        self._on_state(owner, names.plain(names.app_of(app)), healthy)

    async def _run(
        self,
        owner: str,
        request: ActionRequest,
        policy: EgressPolicy | None,
        resolved: ResolvedAction | None,
    ) -> ActionOutcome:
        if resolved is None:
            resolved = await self.directory.resolve(owner, request.app, request.action, request.props)
        if resolved.tool is not None:
            return await self.servers.call(owner, resolved.tool, resolved.props, request.seconds)
        if resolved.native is not None:
            return await self._run_native(owner, resolved.native, resolved, policy)

        accounts = await self.accounts.choose_accounts(owner, resolved.action, request.account)
        action, dynamic_id = await self._reload_fields(
            owner, resolved.action, resolved.props, accounts, request.dynamic_id
        )
        props = configure_props(action, resolved.props, accounts)
        require_complete(action, props)

        try:
            result = await self._broker.run(
                self.accounts.user(owner), ConfiguredAction(action, props, dynamic_id), request.seconds
            )
        except NotFound:
            # The broker dropped the action after it was read.
            raise await self.directory.no_action(owner, action.app, action.key) from None
        except Conflict:
            account = next(iter(accounts.values()), None)
            raise await self.accounts.access_lost_error(owner, action, account) from None
        except UpstreamFailed as error:
            # The broker may have failed after the app had done it.
            if error.upstream_status is None or error.upstream_status >= 500:
                error.hint = (
                    f"The action may have been done nevertheless: check {action.app} before you run it again."
                )

            raise

        account = next(iter(accounts.values()), None)
        if result.error is not None:
            raise await self._to_error(owner, action, account, result)

        # Files have a field of their own.
        exports = {name: value for name, value in result.exports.items() if name != "$filestash_uploads"}
        return ActionOutcome(
            action=action.key, backend="connect", account=account, summary=str(exports.get("$summary") or "")[:500],
            ret=result.ret, exports=exports, os=result.os, files=tuple(result.exports.get("$filestash_uploads") or ()),
        )  # fmt: skip

    async def _to_error(
        self, owner: str, action: Action, account: str | None, result: BrokerRunResult
    ) -> CodewordsError:
        """Return the error of a failed action, or that of an account whose access has ended
        meanwhile.
        """
        try:
            health = {
                connected.id: connected.healthy
                for connected in await self._broker.accounts(self.accounts.user(owner), action.app)
            }
        except CodewordsError:
            # The action's own error matters more.
            health = {}

        if account is not None and health.get(account) is False:
            return await self.accounts.access_lost_error(owner, action, account)

        return IntegrationFailed(
            f"{action.key} failed.",
            upstream_status=200,
            upstream_said=result.error or "",
            hint="The app's message is in `upstream_said`. Check before you run it again: a part may have been done.",
        )

    async def _reload_fields(
        self,
        owner: str,
        action: Action,
        props: dict[str, Any],
        accounts: dict[str, str],
        dynamic_id: str | None,
    ) -> tuple[Action, str | None]:
        """Return (the action with the fields that exist once these props are set, their id)."""
        done: set[str] = set()
        # A field that came by a reload may bring others, though not without end.
        for _ in range(_MAX_RELOADS):
            known = {prop.name: prop for prop in action.fields}
            static = {name: value for name, value in props.items() if name in known}
            due = {name for name in static if known[name].reloads} - done
            if not due and not (dynamic_id and not done and set(props) - set(known)):
                break

            done |= due or {""}
            request = ConfiguredAction(action, configure_props(action, static, accounts), dynamic_id)
            reloaded = await self._broker.reload(self.accounts.user(owner), request)
            dynamic_id = reloaded.id or dynamic_id
            # Later ones replace earlier ones of the same name.
            merged: dict[str, Prop] = {prop.name: prop for prop in (*action.props, *reloaded.props)}
            action = action.model_copy(update={"props": tuple(merged.values())})

        return action, dynamic_id

    async def _run_native(
        self, owner: str, native: NativeAction, resolved: ResolvedAction, policy: EgressPolicy | None
    ) -> ActionOutcome:
        props = configure_props(native.action, resolved.props, {})
        require_complete(native.action, props)
        account = await self._native.account(owner, native.app)
        ret = await self._native.run(owner, native, props, policy)
        return ActionOutcome(
            action=native.key, backend="native", account=account.name if account else None, summary=native.summary, ret=ret,
            exports={"$summary": native.summary} if native.summary else {},
        )  # fmt: skip
