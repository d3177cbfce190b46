"""What the rest of the runtime asks of integrations: found, described, connected, run, whichever back end does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput, NotFound, UpstreamFailed
from codewords_mcp.runtime.auth.one_time_links import Links
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.integrations.accounts import ConnectedAccounts
from codewords_mcp.runtime.integrations.base import Configured, IntegrationBroker, Ran
from codewords_mcp.runtime.integrations.configure import configured, require
from codewords_mcp.runtime.integrations.directory import Directory, Resolved
from codewords_mcp.runtime.integrations.errors import IntegrationFailed
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_api import Native
from codewords_mcp.runtime.model.integration import Action, ActionOutcome, Detail, Prop
from codewords_mcp.runtime.store.database import Database

RUN_SECONDS = 90.0
_RELOADS = 3


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What is to be run. `account` is one of the connected ones, the newest healthy one without it."""

    app: str
    action: str
    props: dict[str, Any]
    account: str | None = None
    dynamic_id: str | None = None
    seconds: float = RUN_SECONDS


class Integrations:
    """What there is (`directory`), who has what (`accounts`), and here what is done with both.

    For one event loop; `close` it. `owner` is whose accounts and tokens are meant. Beside what is named, methods raise what
    the broker raises (see `base.Broker`).
    """

    def __init__(
        self,
        broker: IntegrationBroker,
        native: NativeActions,
        database: Database,
        links: Links,
        *,
        base_url: Callable[[], str],
        user_prefix: str,
    ) -> None:
        self._broker = broker
        self._native = native
        self.directory = Directory(broker, native, database)
        self.accounts = ConnectedAccounts(
            broker, native, self.directory, links, base_url=base_url, user_prefix=user_prefix
        )

    async def close(self) -> None:
        """Stop what goes on behind."""
        await self.directory.close()

    async def schema(
        self,
        owner: str,
        app: str,
        action: str,
        props: dict[str, Any] | None = None,
        account: str | None = None,
    ) -> Detail:
        """An action's fields; with `props`, those too that there are once these are set. Raises NotFound, AppNotConnected."""
        found = await self.directory.resolve(owner, app, action, props or {})
        if found.native is not None or not found.props:
            return Detail(app=found.action.app, action=found.action)
        now, accounts = found.action, await self.accounts.chosen_for(owner, found.action, account)
        now, dynamic_id = await self._reloaded(owner, now, found.props, accounts, None)
        return Detail(app=now.app, action=now, dynamic_props_id=dynamic_id)

    async def options(
        self, owner: str, app: str, action: str, prop: str, props: dict[str, Any] | None = None,
        *, query: str = "", account: str | None = None, dynamic_id: str | None = None,
    ) -> Detail:  # fmt: skip
        """Values that a field takes. Raises NotFound, AppNotConnected, InvalidInput for a field there is not."""
        found = await self.directory.resolve(owner, app, action, props or {})
        field = next((one for one in found.action.fields if one.name == prop), None)
        if field is None and dynamic_id is None:
            known = ", ".join(f"`{one.name}`" for one in found.action.fields)
            raise InvalidInput(f"{found.action.key} has no such field.", hint=f"It has {known}.")

        if found.native is not None or (field is not None and not field.remote):
            given = [{"label": str(one), "value": one} for one in (field.options if field else ())]
            if given:
                note = ""
            else:
                note = "This field takes any value of its type."

            return Detail.model_validate({"app": found.action.app, "options": given, "note": note})

        accounts = await self.accounts.chosen_for(owner, found.action, account)
        asked = Configured(found.action, configured(found.action, found.props, accounts), dynamic_id)
        listed = await self._broker.options(self.accounts.user(owner), asked, prop, query or None)

        return Detail(app=found.action.app, options=tuple(listed))

    async def require_ready(self, owner: str, found: Resolved, account: str | None = None) -> None:
        """Raise what would stop `run` before the app is asked, so that nobody agrees to what cannot be done.

        Raises AppNotConnected, Forbidden for a token that may not go there, InvalidInput for a native action's missing field.
        """
        if found.native is None:
            await self.accounts.chosen_for(owner, found.action, account)
            return
        require(found.native.action, configured(found.native.action, found.props, {}))
        await self._native.require_connected(owner, found.native)

    async def run(
        self, owner: str, asked: ActionRequest, policy: EgressPolicy | None = None
    ) -> ActionOutcome:
        """Carry it out, once. `policy`: what an HTTP request may reach.

        Raises NotFound, InvalidInput naming what is missing, AppNotConnected, IntegrationFailed, TooBusy, UpstreamTimedOut.
        """
        found = await self.directory.resolve(owner, asked.app, asked.action, asked.props)
        if found.native is not None:
            return await self._run_native(owner, found.native, found, policy)

        accounts = await self.accounts.chosen_for(owner, found.action, asked.account)
        action, dynamic_id = await self._reloaded(
            owner, found.action, found.props, accounts, asked.dynamic_id
        )
        props = configured(action, found.props, accounts)
        require(action, props)

        try:
            ran = await self._broker.run(
                self.accounts.user(owner), Configured(action, props, dynamic_id), asked.seconds
            )
        except NotFound:
            raise await self.directory.no_action(owner, action.app, action.key) from None
        except Conflict:
            raise await self.accounts.revoked(owner, action) from None
        except UpstreamFailed as error:
            if error.upstream_status is None or error.upstream_status >= 500:
                error.hint = (
                    f"It may have been done all the same: look in {action.app} before you do it again."
                )

            raise

        account = next(iter(accounts.values()), None)
        if ran.error is not None:
            raise await self._failed(owner, action, account, ran)

        exports = {name: value for name, value in ran.exports.items() if name != "$filestash_uploads"}
        return ActionOutcome(
            action=action.key, backend="connect", account=account, summary=str(exports.get("$summary") or "")[:500],
            ret=ran.ret, exports=exports, os=ran.os, files=tuple(ran.exports.get("$filestash_uploads") or ()),
        )  # fmt: skip

    # inside

    async def _failed(self, owner: str, action: Action, account: str | None, ran: Ran) -> CodewordsError:
        """An action's own failure; that of an account whose access has ended meanwhile is told as such."""
        try:
            now = {
                one.id: one.healthy
                for one in await self._broker.accounts(self.accounts.user(owner), action.app)
            }
        except CodewordsError:
            now = {}

        if account is not None and now.get(account) is False:
            return await self.accounts.revoked(owner, action)

        return IntegrationFailed(
            f"{action.key} failed.",
            upstream_status=200,
            upstream_said=ran.error or "",
            hint="What the app said is in `upstream_said`. Look before you do it again: a part may have been done.",
        )

    async def _reloaded(
        self,
        owner: str,
        action: Action,
        props: dict[str, Any],
        accounts: dict[str, str],
        dynamic_id: str | None,
    ) -> tuple[Action, str | None]:
        """(the action with the fields that it has once these props are set, the id that goes with them)."""
        done: set[str] = set()
        for _ in range(_RELOADS):
            known = {prop.name: prop for prop in action.fields}
            static = {name: value for name, value in props.items() if name in known}
            due = {name for name in static if known[name].reloads} - done
            if not due and not (dynamic_id and not done and set(props) - set(known)):
                break

            done |= due or {""}
            asked = Configured(action, configured(action, static, accounts), dynamic_id)
            told = await self._broker.reload(self.accounts.user(owner), asked)
            dynamic_id = told.id or dynamic_id
            merged: dict[str, Prop] = {prop.name: prop for prop in (*action.props, *told.props)}
            action = action.model_copy(update={"props": tuple(merged.values())})

        return action, dynamic_id

    async def _run_native(
        self, owner: str, native: Native, found: Resolved, policy: EgressPolicy | None
    ) -> ActionOutcome:
        props = configured(native.action, found.props, {})
        require(native.action, props)
        account = await self._native.account(owner, native.app)
        ret = await self._native.run(owner, native, props, policy)
        return ActionOutcome(
            action=native.key, backend="native", account=account.name if account else None, summary=native.summary, ret=ret,
            exports={"$summary": native.summary} if native.summary else {},
        )  # fmt: skip
