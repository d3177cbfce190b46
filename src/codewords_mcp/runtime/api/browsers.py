"""People's own Chromes."""

from __future__ import annotations

from datetime import datetime

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.browser.own.connection import MessageChannel
from codewords_mcp.runtime.model.browser import OwnChrome
from codewords_mcp.runtime.model.caller import Caller, refuse_run


class BrowserApi:
    """People's own Chromes."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def get(self, caller: Caller, *, wait: float = 0.0, after: datetime | None = None) -> OwnChrome:
        """Describe the state of the caller's Chrome.

        With `wait`, returns once it is connected, or after these seconds; with `after`, once a Chrome is connected that
        was paired later.
        """
        refuse_run(caller, "look at somebody's Chrome")
        if wait:
            await self._container.chromes.wait(caller.owner, wait, after)
        return await self._container.chromes.info(caller.owner, self._container.base_url)

    async def pair(self, caller: Caller) -> str:
        """Make a page on which a person pairs their Chrome, once, within 10 minutes; returns its address."""
        # A workflow must not gain a person's signed-in browser for itself.
        refuse_run(caller, "pair a Chrome")
        token = await self._container.chromes.invite(caller.owner)
        return f"{self._container.base_url}/browser/pair/{token}"

    async def peek_pairing(self, caller: Caller, token: str) -> bool:
        """Whether the page of this token has done its work. Raises NotFound, Forbidden for another owner's."""
        return await self._container.chromes.paired_by(caller.owner, token)

    async def forget(self, caller: Caller) -> bool:
        """Revoke the token of the caller's Chrome; False where there was none."""
        refuse_run(caller, "forget a Chrome")
        return await self._container.chromes.forget(caller.owner)

    async def serve(self, pipe: MessageChannel) -> None:
        """Serve the connection of a Chrome to its end. Its first message says which Chrome it is."""
        await self._container.chromes.serve(pipe)
