"""Integrations in memory, for `fake_runtime.FakeRuntime`."""

from __future__ import annotations

from typing import Any

from codewords_mcp.runtime.api.integrations import IntegrationApi
from codewords_mcp.runtime.model.integration import Action, App, Detail, FoundActions, Hit, Option


class FakeIntegrationApi(IntegrationApi):
    """One app with one action, where a test gives them."""

    def __init__(
        self,
        app: App | None = None,
        hit: Hit | None = None,
        action: Action | None = None,
        options: tuple[Option, ...] = (),
    ) -> None:
        self._apps: tuple[App, ...] = (app,) if app else ()
        self._hits: tuple[Hit, ...] = (hit,) if hit else ()
        self._action = action
        self._options = options

    async def search(self, *_: Any, **__: Any) -> FoundActions:
        return FoundActions(actions=self._hits, apps=self._apps)

    async def list_actions(self, *_: Any, **__: Any) -> Detail:
        return Detail(app=self._apps[0].slug, actions=self._hits, total=len(self._hits))

    async def get_action(self, *_: Any, **more: Any) -> Detail:
        app = self._apps[0].slug
        if more.get("prop"):
            return Detail(app=app, options=self._options)
        return Detail(app=app, action=self._action)
