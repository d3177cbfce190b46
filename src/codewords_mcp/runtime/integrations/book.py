"""What the rest of the runtime asks of integrations: found, described, connected, run, whichever back end does it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import CodewordsError, Conflict, InvalidInput, NotFound, UpstreamFailed
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.integration_info import (
    Account,
    Action,
    App,
    Connection,
    Detail,
    Found,
    Outcome,
    Prop,
    variable_of,
)
from codewords_mcp.runtime.integrations import names
from codewords_mcp.runtime.integrations.base import Broker, Configured, Ran
from codewords_mcp.runtime.integrations.catalogue import Catalogue, build, hit_of
from codewords_mcp.runtime.integrations.configure import configured, require
from codewords_mcp.runtime.integrations.connect import not_configured
from codewords_mcp.runtime.integrations.errors import AppNotConnected, IntegrationFailed
from codewords_mcp.runtime.integrations.links import Links
from codewords_mcp.runtime.integrations.native import SERVICES, Native, NativeActions
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.integrations.search import Index
from codewords_mcp.runtime.integrations.wire import HOW
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.web.client import Web

RUN_SECONDS = 90.0
LOOK_EVERY = 2.0
_RELOADS = 3
_WITHOUT = (
    "Only actions that need no broker can be run, since no Pipedream project is configured; the apps are a list of popular "
    "ones. " + HOW
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be run. `account` is one of the connected ones, the newest healthy one without it."""

    app: str
    action: str
    props: dict[str, Any]
    account: str | None = None
    dynamic_id: str | None = None
    seconds: float = RUN_SECONDS


@dataclass(frozen=True, slots=True)
class Resolved:
    """The action that a name means, and what was given in its own fields. `native` is None for the broker's."""

    action: Action
    props: dict[str, Any]
    native: Native | None = None


class Integrations:
    """For one event loop; `close` it. `owner` is whose accounts and tokens are meant.

    Beside what is named, methods raise what the broker raises (see `base.Broker`).
    """

    def __init__(
        self,
        broker: Broker,
        native: NativeActions,
        database: Database,
        web: Web,
        *,
        base_url: Callable[[], str],
        user_prefix: str,
    ) -> None:
        self._broker = broker
        self._native = native
        self._catalogue = Catalogue(broker, database)
        self._web = web
        self._base_url = base_url
        self._prefix = user_prefix
        self._links = Links(broker)
        self._without: Index | None = None

    async def close(self) -> None:
        """Stop what goes on behind."""
        await self._catalogue.close()

    # what there is

    async def search(self, query: str, limit: int = 8) -> Found:
        """The actions and apps that a question in plain words means. Raises InvalidInput for an empty one."""
        if not query.strip():
            raise InvalidInput(
                "The search is empty.", hint="Say what is to be done, as in: add a row to a sheet."
            )
        index, note = await self._index()
        actions, apps = index.search(query, limit)
        if not actions and not apps:
            note = note or "Nothing was found. Name the app, or the thing that it keeps."
        return Found(actions=tuple(actions), apps=tuple(apps), note=note)

    async def actions(self, app: str, query: str = "", limit: int = 30) -> Detail:
        """What can be done in an app. Raises NotFound, naming the nearest apps."""
        slug = _app(app)
        index, note = await self._index()
        known = [entry.hit for entry in index.entries if names.covers(slug, entry.hit.app)]
        if not known:
            if slug in index.apps or self._is_known(slug, index):
                return Detail(app=slug, note=note or "No action of this app is known.")
            raise self._no_app(slug, index)
        if query.strip():
            found, _ = index.search(f"{query} {slug}", len(index.entries))
            known = [hit for hit in found if names.covers(slug, hit.app)]
        else:
            known.sort(key=lambda hit: (hit.backend != "native", hit.app != slug, hit.key))
        return Detail(app=slug, actions=tuple(known[:limit]), total=len(known), note=note)

    async def schema(
        self,
        owner: str,
        app: str,
        action: str,
        props: dict[str, Any] | None = None,
        account: str | None = None,
    ) -> Detail:
        """An action's fields; with `props`, those too that there are once these are set. Raises NotFound, AppNotConnected."""
        found = await self.resolve(owner, app, action, props or {})
        if found.native is not None or not found.props:
            return Detail(app=found.action.app, action=found.action)
        now, accounts = found.action, await self._accounts_for(owner, found.action, account)
        now, dynamic_id = await self._reloaded(owner, now, found.props, accounts, None)
        return Detail(app=now.app, action=now, dynamic_props_id=dynamic_id)

    async def options(
        self, owner: str, app: str, action: str, prop: str, props: dict[str, Any] | None = None,
        *, query: str = "", account: str | None = None, dynamic_id: str | None = None,
    ) -> Detail:  # fmt: skip
        """Values that a field takes. Raises NotFound, AppNotConnected, InvalidInput for a field there is not."""
        found = await self.resolve(owner, app, action, props or {})
        field = next((one for one in found.action.fields if one.name == prop), None)
        if field is None and dynamic_id is None:
            known = ", ".join(f"`{one.name}`" for one in found.action.fields)
            raise InvalidInput(f"{found.action.key} has no such field.", hint=f"It has {known}.")
        if found.native is not None or (field is not None and not field.remote):
            given = [{"label": str(one), "value": one} for one in (field.options if field else ())]
            note = "" if given else "This field takes any value of its type."
            return Detail.model_validate({"app": found.action.app, "options": given, "note": note})
        accounts = await self._accounts_for(owner, found.action, account)
        asked = Configured(found.action, configured(found.action, found.props, accounts), dynamic_id)
        listed = await self._broker.options(self.user(owner), asked, prop, query or None)
        return Detail(app=found.action.app, options=tuple(listed))

    # accounts

    async def check_auth(self, owner: str, app: str, *, wait: float = 0.0) -> Connection:
        """How it stands; with `wait`, as soon as it is connected, or after these seconds. Raises NotFound."""
        slug, end = _app(app), time.monotonic() + wait
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
        slug = found.accounts[0].app if found.accounts else self._connectable(found.app)
        url = f"{self._base_url()}/connect/{self._links.create(owner, slug)}"
        return found.model_copy(
            update={"connect_link_url": url, "how": f"A person opens {url} and connects the account."}
        )

    async def accounts(self, owner: str) -> list[Account]:
        """All that are connected, tokens that are set among them."""
        own = [await self._native.account(owner, app) for app in SERVICES]
        found = [account for account in own if account is not None]
        if await self._broker.project() is not None:
            found += await self._broker.accounts(self.user(owner))
        return found

    async def disconnect(self, owner: str, account: str) -> None:
        """Forget an account at the broker. Raises NotFound; InvalidInput for a token, which is a secret."""
        if account in {name for service in SERVICES.values() for name in service.secrets}:
            raise InvalidInput(
                "This account is a secret.", hint=f"`codewords secrets rm {account}` deletes it."
            )
        if await self._broker.project() is None:
            raise not_configured()
        await self._broker.disconnect(self.user(owner), account)

    def peek_link(self, nonce: str) -> tuple[str, str]:
        """(owner, app) of a link. Raises NotFound."""
        wanted = self._links.peek(nonce)
        return wanted.owner, wanted.app

    async def follow_link(self, nonce: str) -> str:
        """Where the person goes to connect. Raises NotFound."""
        owner, _ = self.peek_link(nonce)
        return await self._links.onward(nonce, self.user(owner), f"{self._base_url()}/connect/{nonce}/done")

    def link_used(self, nonce: str) -> None:
        """The person has come back. Raises NotFound."""
        owner, app = self.peek_link(nonce)
        self._links.used(self.user(owner), app)

    # doing

    async def resolve(self, owner: str, app: str, action: str, props: dict[str, Any]) -> Resolved:
        """What a name certainly means. Raises NotFound with the five nearest keys, or MissingCredential without a project."""
        slug, name = _app(app), names.action_name(action)
        if not name:
            raise InvalidInput("That is no name of an action.", hint="search_integrations finds it.")
        project = await self._broker.project()
        if project is None:
            slug = names.plain(slug)
            name = name.removeprefix(f"{slug}-")
        native = self._native.find(slug, name)
        if native is not None and (
            project is None or slug == "http" or name == native.key or await self._native.account(owner, slug)
        ):
            return Resolved(native.action, dict(props), native)
        index, _ = await self._index()
        if project is None:
            # without a project only what is native is there
            if self._native.of(slug):
                raise self._no_action(slug, name, index)
            raise not_configured()
        alias = names.ALIASES.get((slug, name.removeprefix(f"{slug}-")))
        known = {entry.hit.key for entry in index.entries if entry.hit.backend == "connect"}
        if alias is not None and alias.key in known and name not in known:
            return Resolved(await self._catalogue.action(alias.key), alias.props(props))
        wanted = [key for key in names.candidates(slug, name) if key in known]
        if not wanted and name.startswith(f"{slug}-"):
            wanted = [name]  # newer than the catalogue, maybe
        if len(wanted) > 1 and wanted[0] != name and not wanted[0].startswith(f"{slug}-"):
            wanted = []
        if wanted:
            try:
                return Resolved(await self._catalogue.action(wanted[0]), dict(props))
            except NotFound:
                pass
        raise self._no_action(slug, name, index)

    async def run(self, owner: str, asked: Asked, policy: EgressPolicy | None = None) -> Outcome:
        """Carry it out, once. `policy`: what an HTTP request may reach.

        Raises NotFound, InvalidInput naming what is missing, AppNotConnected, IntegrationFailed, TooBusy, UpstreamTimedOut.
        """
        found = await self.resolve(owner, asked.app, asked.action, asked.props)
        if found.native is not None:
            return await self._run_native(owner, found.native, found, policy)
        accounts = await self._accounts_for(owner, found.action, asked.account)
        action, dynamic_id = await self._reloaded(
            owner, found.action, found.props, accounts, asked.dynamic_id
        )
        props = configured(action, found.props, accounts)
        require(action, props)
        try:
            ran = await self._broker.run(
                self.user(owner), Configured(action, props, dynamic_id), asked.seconds
            )
        except NotFound:
            index, _ = await self._index()
            raise self._no_action(action.app, action.key, index) from None
        except Conflict:
            raise await self._revoked(owner, action) from None
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
        return Outcome(
            action=action.key, backend="connect", account=account, summary=str(exports.get("$summary") or "")[:500],
            ret=ran.ret, exports=exports, os=ran.os, files=tuple(ran.exports.get("$filestash_uploads") or ()),
        )  # fmt: skip

    def user(self, owner: str) -> str:
        """How the broker knows this owner."""
        return f"{self._prefix}{owner}"

    # inside

    async def _index(self) -> tuple[Index, str]:
        if await self._broker.project() is None:
            if self._without is None:
                own = [
                    hit_of(native.action) for app in self._native.apps for native in self._native.of(app.slug)
                ]
                self._without = build([*self._native.apps, *popular()], [(hit, "") for hit in own])
            return self._without, _WITHOUT
        return await self._catalogue.index()

    def _is_known(self, slug: str, index: Index) -> bool:
        return any(one in index.apps for one in names.family(slug))

    def _no_app(self, slug: str, index: Index) -> NotFound:
        near = names.nearest(slug, index.apps)
        return NotFound("There is no app of this name.", hint=f"Near to it: {', '.join(near)}.")

    def _no_action(self, slug: str, name: str, index: Index) -> NotFound:
        own = [entry.hit.key for entry in index.entries if names.covers(slug, entry.hit.app)]
        near = names.nearest(f"{slug}-{name}" if own and not name.startswith(slug) else name, own)
        if not near:
            return self._no_app(slug, index)
        return NotFound(
            f"{slug} has no action that this name certainly means, so nothing was run.",
            hint=f"Near to it: {', '.join(near)}.",
        )

    def _connectable(self, slug: str) -> str:
        return names.family(slug)[0]

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
            which = f" ({len(accounts)} accounts)" if len(accounts) > 1 else ""
            return told("connected", f"{slug} is connected{which}.", accounts=accounts)
        if found:
            message = f"The account of {slug} lost its access and has to be connected again."
            return told("unhealthy", message, accounts=tuple(found))
        index, _ = await self._index()
        if service is None and not self._is_known(slug, index):
            raise self._no_app(slug, index)
        app = index.apps.get(slug) or App(slug=slug, name=slug)
        if app.auth == "none":
            return told("not_required", f"{slug} needs no account.")
        return told("missing", f"No account of {slug} is connected.")

    async def _accounts_of(self, owner: str, app: str) -> list[Account]:
        """The broker has been seen to say none where there is one: a "none" is asked for twice."""
        user = self.user(owner)
        return await self._broker.accounts(user, app) or await self._broker.accounts(user, app)

    async def _accounts_for(self, owner: str, action: Action, wanted: str | None) -> dict[str, str]:
        """Which account is put into which of the action's fields. Raises AppNotConnected, NotFound."""
        chosen: dict[str, str] = {}
        index, _ = await self._index()
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
                raise await self._unconnected(owner, app, "unhealthy" if found else "missing")
            chosen[prop.name] = healthy[0].id
        return chosen

    async def _unconnected(self, owner: str, app: str, state: str) -> AppNotConnected:
        url = f"{self._base_url()}/connect/{self._links.create(owner, app)}"
        why = "lost its access" if state == "unhealthy" else "is missing"
        return AppNotConnected(
            f"The account of {app} {why}, so nothing was run.",
            app=app, state=state, connect_link_url=url, hint=f"A person opens {url} and connects it; then do it again.",
        )  # fmt: skip

    async def _revoked(self, owner: str, action: Action) -> AppNotConnected:
        error = await self._unconnected(owner, action.app, "unhealthy")
        error.message = f"The account of {action.app} cannot be used any more."
        return error

    async def _failed(self, owner: str, action: Action, account: str | None, ran: Ran) -> CodewordsError:
        """An action's own failure; that of an account whose access has ended meanwhile is told as such."""
        try:
            now = {one.id: one.healthy for one in await self._broker.accounts(self.user(owner), action.app)}
        except CodewordsError:
            now = {}
        if account is not None and now.get(account) is False:
            return await self._revoked(owner, action)
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
            told = await self._broker.reload(self.user(owner), asked)
            dynamic_id = told.id or dynamic_id
            merged: dict[str, Prop] = {prop.name: prop for prop in (*action.props, *told.props)}
            action = action.model_copy(update={"props": tuple(merged.values())})
        return action, dynamic_id

    async def _run_native(
        self, owner: str, native: Native, found: Resolved, policy: EgressPolicy | None
    ) -> Outcome:
        props = configured(native.action, found.props, {})
        require(native.action, props)
        account = await self._native.account(owner, native.app)
        ret = await self._native.run(owner, native, props, policy)
        return Outcome(
            action=native.key, backend="native", account=account.name if account else None, summary=native.summary, ret=ret,
            exports={"$summary": native.summary} if native.summary else {},
        )  # fmt: skip


def _app(text: str) -> str:
    slug = names.app_name(text)
    if not slug:
        raise InvalidInput(
            "That is no name of an app.", hint="search_integrations finds it, as in google_sheets."
        )
    return slug
