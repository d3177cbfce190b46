"""The person whom an MCP client asks: they answer forms, and agree to servers on their pages."""

from __future__ import annotations

import asyncio
from typing import Any

from mcp_types import ElicitRequestURLParams, ElicitResult
from tests.support.browser_client import sign_in
from tests.support.http_runtime import ADMIN_KEY


class Person:
    """Agrees in forms, and to servers on their pages; or declines everything."""

    def __init__(self, *, believe: str = "no", agrees: bool = True) -> None:
        self._believe = believe
        self._agrees = agrees
        self.forms: list[str] = []
        self.pages: list[str] = []

    async def __call__(self, _: object, params: Any) -> ElicitResult:
        if isinstance(params, ElicitRequestURLParams):
            await asyncio.to_thread(self._walk, params.url)
            return ElicitResult(action="accept")
        self.forms.append(params.message)
        return ElicitResult(action="accept", content={}) if self._agrees else ElicitResult(action="decline")

    def _walk(self, url: str) -> None:
        with sign_in(url.partition("/connect/")[0], ADMIN_KEY) as browser:
            page = browser.get(url).text
            self.pages.append(page)
            seen = page.partition('name="seen" value="')[2].partition('"')[0]
            browser.submit(url, data={"seen": seen, "believe": self._believe}).raise_for_status()
