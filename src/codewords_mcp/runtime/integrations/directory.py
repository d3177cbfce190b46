"""What there is: apps and their actions, found by plain words and resolved by name, of the broker's and of our own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codewords_mcp.errors import InvalidInput, NotFound
from codewords_mcp.runtime.integrations.base import IntegrationBroker
from codewords_mcp.runtime.integrations.catalogue import Catalogue, build
from codewords_mcp.runtime.integrations.native import NativeActions
from codewords_mcp.runtime.integrations.native_api import Native
from codewords_mcp.runtime.integrations.pipedream import not_configured
from codewords_mcp.runtime.integrations.pipedream_client import HOW
from codewords_mcp.runtime.integrations.popular import popular
from codewords_mcp.runtime.integrations.search import ActionIndex
from codewords_mcp.runtime.model import integration_names as names
from codewords_mcp.runtime.model.integration import Action, Detail, FoundActions, Hit
from codewords_mcp.runtime.store.database import Database

_WITHOUT = (
    "Only actions that need no broker can be run, since no Pipedream project is configured; the apps are a list of popular "
    "ones. " + HOW
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The action that a name means, and what was given in its own fields. `native` is None for the broker's."""

    action: Action
    props: dict[str, Any]
    native: Native | None = None


class Directory:
    """For one event loop; `close` it. `owner` is whose own tokens count: an action that needs one is found where it is set.

    Beside what is named, methods raise what the broker raises (see `base.Broker`).
    """

    def __init__(self, broker: IntegrationBroker, native: NativeActions, database: Database) -> None:
        self._broker = broker
        self._native = native
        self._catalogue = Catalogue(broker, database, native.hits)
        self._without: ActionIndex | None = None

    async def close(self) -> None:
        """Stop what goes on behind."""
        await self._catalogue.close()

    async def search(self, owner: str, query: str, limit: int = 8) -> FoundActions:
        """The actions and apps that a question in plain words means. Raises InvalidInput for an empty one."""
        if not query.strip():
            raise InvalidInput(
                "The search is empty.", hint="Say what is to be done, as in: add a row to a sheet."
            )
        index, note = await self.index()
        actions, apps = index.search(query, limit, await self._unseen(owner))
        if not actions and not apps:
            note = note or "Nothing was found. Name the app, or the thing that it keeps."
        return FoundActions(actions=tuple(actions), apps=tuple(apps), note=note)

    async def actions(self, owner: str, app: str, query: str = "", limit: int = 30) -> Detail:
        """What can be done in an app. Raises NotFound, naming the nearest apps."""
        slug = names.app_of(app)
        index, note = await self.index()
        unseen = await self._unseen(owner)
        known = _of(slug, index, unseen)
        if not known:
            if slug in index.apps or self.is_known(slug, index):
                return Detail(app=slug, note=note or "No action of this app is known.")
            raise self.no_app(slug, index)

        if query.strip():
            found, _ = index.search(f"{query} {slug}", len(index.entries), unseen)
            known = [hit for hit in found if names.covers(slug, hit.app)]
        else:
            known.sort(key=lambda hit: (hit.backend != "native", hit.app != slug, hit.key))

        return Detail(app=slug, actions=tuple(known[:limit]), total=len(known), note=note)

    async def resolve(self, owner: str, app: str, action: str, props: dict[str, Any]) -> Resolved:
        """What a name certainly means. Raises NotFound with the five nearest keys, or MissingCredential without a project."""
        slug, name = names.app_of(app), names.action_name(action)
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

        index, _ = await self.index()
        if project is None:
            # without a project only what is native is there
            if self._native.of(slug):
                raise await self.no_action(owner, slug, name)
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

        raise await self.no_action(owner, slug, name)

    async def index(self) -> tuple[ActionIndex, str]:
        """(what can be found, "" or a sentence on why it may not be all)."""
        if await self._broker.project() is None:
            if self._without is None:
                hits = [(hit, "") for hit in self._native.hits]
                self._without = build([*self._native.apps, *popular()], hits)
            return self._without, _WITHOUT
        return await self._catalogue.index()

    def is_known(self, slug: str, index: ActionIndex) -> bool:
        """Whether there is such an app, by any name of it."""
        return any(one in index.apps for one in names.family(slug))

    def no_app(self, slug: str, index: ActionIndex) -> NotFound:
        """The refusal that names the nearest apps."""
        near = names.nearest(slug, index.apps)
        return NotFound("There is no app of this name.", hint=f"Near to it: {', '.join(near)}.")

    async def no_action(self, owner: str, slug: str, name: str) -> NotFound:
        """The refusal that names the nearest actions."""
        index, _ = await self.index()
        own = [hit.key for hit in _of(slug, index, await self._unseen(owner))]
        near = names.nearest(f"{slug}-{name}" if own and not name.startswith(slug) else name, own)
        if not near:
            return self.no_app(slug, index)
        return NotFound(
            f"{slug} has no action that this name certainly means, so nothing was run.",
            hint=f"Near to it: {', '.join(near)}.",
        )

    async def _unseen(self, owner: str) -> frozenset[str]:
        """Keys of actions whose token this owner has not set, where the broker may have others for the same."""
        if await self._broker.project() is None:
            return frozenset()
        usable = {"http", *(one.app for one in await self._native.accounts(owner))}
        return frozenset(hit.key for hit in self._native.hits if hit.app not in usable)


def _of(slug: str, index: ActionIndex, unseen: frozenset[str]) -> list[Hit]:
    hits = (entry.hit for entry in index.entries)
    return [hit for hit in hits if names.covers(slug, hit.app) and hit.key not in unseen]
