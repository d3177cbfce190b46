"""The directory of apps and actions, the broker's, our own and those of MCP servers: searched by plain
words and resolved by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.catalogue import Catalogue, build_index
from codewords_mcp.runtime.integrations.mcp.index import app_of_server
from codewords_mcp.runtime.integrations.mcp.servers import McpServers
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_api import NativeAction
from codewords_mcp.runtime.integrations.pipedream import not_configured
from codewords_mcp.runtime.integrations.pipedream_client import SETUP_HINT
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.integration import Action, Detail, FoundActions, Hit
from codewords_mcp.runtime.model.mcp import AgreedTool, action_of, hit_of_tool, server_of
from codewords_mcp.runtime.store.database import Database

_NO_PROJECT_NOTE = (
    "Only actions that need no broker can be run, since no Pipedream project is configured; the apps are a list of popular "
    "ones. " + SETUP_HINT
)


@dataclass(frozen=True, slots=True)
class ResolvedAction:
    """The action that a name stands for, with props in its own fields. `native` and `tool`, of an MCP
    server, are None for the broker's.
    """

    action: Action
    props: dict[str, Any]
    native: NativeAction | None = None
    tool: AgreedTool | None = None


class Directory:
    """The directory. For one event loop; `close` it. Actions that need a token are listed for
    owners who set it.

    All methods also raise the errors of the broker (see `base.IntegrationBroker`).
    """

    def __init__(
        self, broker: IntegrationBroker, native: NativeActions, servers: McpServers, database: Database
    ) -> None:
        self._broker = broker
        self._servers = servers
        self._native = native
        self._catalogue = Catalogue(broker, database, native.hits)
        self._without: ActionIndex | None = None

    async def close(self) -> None:
        """Stop the background reading."""
        await self._catalogue.close()

    async def search(self, owner: str, query: str, limit: int = 8) -> FoundActions:
        """Search actions and apps by plain words. Raises InvalidInput for an empty query."""
        if not query.strip():
            raise InvalidInput(
                "The search is empty.", hint="Describe the action, for example: add a row to a sheet."
            )
        tools = await self._servers.indexes.of(owner)
        index, note = await self.index()
        actions, apps = index.search(query, limit, await self._unseen(owner))
        if tools is not None:
            own_actions, own_apps = tools.search(query, limit)
            apps = [*own_apps, *apps]
            if own_actions:
                actions = await self._merged(owner, query, limit, index, tools)
        if not actions and not apps:
            note = note or "Nothing was found. Name the app, or the kind of data."
        return FoundActions(actions=tuple(actions), apps=tuple(apps), note=note)

    async def _merged(
        self, owner: str, query: str, limit: int, index: ActionIndex, tools: ActionIndex
    ) -> list[Hit]:
        """The best of both indexes. Of two that fit alike, a connected server's comes first."""
        found = [(score, True, hit) for score, hit in tools.ranked(query, limit)]
        others = index.ranked(query, limit, await self._unseen(owner))
        found += [(score, False, hit) for score, hit in others]
        found.sort(key=_by_score)
        return [hit for _, _, hit in found[:limit]]

    async def apps(self, limit: int) -> FoundActions:
        """List the most used apps."""
        index, note = await self.index()
        return FoundActions(apps=tuple(index.most_used(limit)), note=note)

    async def actions(self, owner: str, app: str, query: str = "", limit: int = 30) -> Detail:
        """List the actions of an app. Raises NotFound, which names the closest apps."""
        slug = names.app_of(app)
        if server_of(slug) is not None:
            return await self._server_tools(owner, slug, query, limit)
        index, note = await self.index()
        unseen = await self._unseen(owner)
        hits = _hits_of_app(slug, index, unseen)
        if not hits:
            if slug in index.apps or self.is_known(slug, index):
                return Detail(
                    app=slug, about=index.apps.get(slug), note=note or "No action of this app is known."
                )
            raise self.no_app(slug, index)

        if query.strip():
            found, _ = index.search(f"{query} {slug}", len(index.entries), unseen)
            hits = [hit for hit in found if names.covers(slug, hit.app)]
        else:
            hits.sort(key=partial(_list_order, slug))

        return Detail(
            app=slug, about=index.apps.get(slug), actions=tuple(hits[:limit]), total=len(hits), note=note
        )

    async def resolve(self, owner: str, app: str, action: str, props: dict[str, Any]) -> ResolvedAction:
        """Return the only action that a name can stand for.

        Raises NotFound with the five closest keys, or MissingCredential without a project.
        """
        slug, name = names.app_of(app), names.action_name(action)
        if server_of(slug) is not None:
            tool = await self._servers.tool(owner, slug, action)
            return ResolvedAction(action_of(tool), dict(props), tool=tool)
        if not name:
            raise InvalidInput("`action` is not a name of an action.", hint="search_integrations finds it.")

        project = await self._broker.project()
        if project is None:
            # Without a project only native apps exist, under their plain names.
            slug = names.plain(slug)
            name = name.removeprefix(f"{slug}-")

        native = self._native.find(slug, name)
        # With a project a caller's own token still comes first, and a full key always means this
        # action.
        if native is not None and (
            project is None or slug == "http" or name == native.key or await self._native.account(owner, slug)
        ):
            return ResolvedAction(native.action, dict(props), native)

        index, _ = await self.index()
        # Without a project only native actions are available.
        if project is None:
            if self._native.of(slug):
                raise await self.no_action(owner, slug, name)
            raise not_configured()

        alias = names.ALIASES.get((slug, name.removeprefix(f"{slug}-")))
        hits = {entry.hit.key for entry in index.entries if entry.hit.backend == "connect"}
        if alias is not None and alias.key in hits and name not in hits:
            return ResolvedAction(await self._catalogue.action(alias.key), alias.props(props))

        matches = [key for key in names.candidates(slug, name) if key in hits]
        # An action can be newer than the catalogue.
        if not matches and name.startswith(f"{slug}-"):
            matches = [name]
        # Several actions could be meant, and none is the obvious one: running the wrong one does
        # harm.
        if len(matches) > 1 and matches[0] != name and not matches[0].startswith(f"{slug}-"):
            matches = []
        if matches:
            try:
                return ResolvedAction(await self._catalogue.action(matches[0]), dict(props))
            except NotFound:
                # The catalogue is older than the broker's list: say what there is instead.
                pass

        raise await self.no_action(owner, slug, name)

    async def _server_tools(self, owner: str, slug: str, query: str, limit: int) -> Detail:
        """The tools of a server, or those that the query means."""
        server = await self._servers.find(owner, slug)
        if server is None:
            raise NotFound(
                "There is no MCP server of this name.",
                hint="connect_integration with the server's address or package connects one.",
            )
        if not server.agreed:
            raise self._servers.access.not_connected(server, "missing")

        review = await self._servers.review(owner, server.name, read=False)
        hits = [hit_of_tool(tool) for tool in review.tools]
        index = await self._servers.indexes.of(owner)
        if query.strip() and index is not None:
            found, _ = index.search(query, len(index.entries))
            hits = [hit for hit in found if hit.app == slug]
        changed = [name for name, _ in review.changes]
        note = ""
        if changed:
            note = f"{len(changed)} of its tools changed, or are new, since a person agreed: each call of them asks."
        return Detail(
            app=slug, about=app_of_server(server), actions=tuple(hits[:limit]), total=len(hits), note=note
        )

    async def index(self) -> tuple[ActionIndex, str]:
        """Return (the index, "" or a note on why it may be incomplete)."""
        if await self._broker.project() is None:
            # Built once: native actions do not change while the runtime lives.
            if self._without is None:
                hits = [(hit, "") for hit in self._native.hits]
                self._without = build_index([*self._native.apps, *popular()], hits)
            return self._without, _NO_PROJECT_NOTE
        return await self._catalogue.index()

    def is_known(self, slug: str, index: ActionIndex) -> bool:
        """Whether the app exists, under any of its names."""
        return any(account in index.apps for account in names.family(slug))

    def no_app(self, slug: str, index: ActionIndex) -> NotFound:
        """Return the error that names the closest apps."""
        closest = names.nearest(slug, index.apps)
        return NotFound("There is no app of this name.", hint=f"The closest are: {', '.join(closest)}.")

    async def no_action(self, owner: str, slug: str, name: str) -> NotFound:
        """Return the error that names the closest actions."""
        index, _ = await self.index()
        keys = [hit.key for hit in _hits_of_app(slug, index, await self._unseen(owner))]
        closest = names.nearest(f"{slug}-{name}" if keys and not name.startswith(slug) else name, keys)
        if not closest:
            return self.no_app(slug, index)
        return NotFound(
            f"{slug} has no action that this name stands for without doubt, so nothing was run.",
            hint=f"The closest are: {', '.join(closest)}.",
        )

    async def _unseen(self, owner: str) -> frozenset[str]:
        """Keys of native actions whose token this owner has not set."""
        # The broker may have equivalents, for which an account can be connected.
        if await self._broker.project() is None:
            return frozenset()
        usable = {"http", *(account.app for account in await self._native.accounts(owner))}
        return frozenset(hit.key for hit in self._native.hits if hit.app not in usable)


def _by_score(found: tuple[float, bool, Hit]) -> tuple[float, bool, str]:
    return -found[0], not found[1], found[2].key


def _list_order(slug: str, hit: Hit) -> tuple[bool, bool, str]:
    """Native actions first, then those under the app's own name."""
    return hit.backend != "native", hit.app != slug, hit.key


def _hits_of_app(slug: str, index: ActionIndex, unseen: frozenset[str]) -> list[Hit]:
    hits = (entry.hit for entry in index.entries)
    return [hit for hit in hits if names.covers(slug, hit.app) and hit.key not in unseen]
