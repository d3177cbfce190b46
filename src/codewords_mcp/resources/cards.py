"""`ui://codewords/{card}`: the documents of cards, for hosts that show them (MCP Apps)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from mcp.server.extension import Extension, ResourceBinding
from mcp.server.mcpserver.resources import Resource

from codewords_mcp.console.card_pages import CARDS, card_page
from codewords_mcp.mcp_server.cards import APP_MIME_TYPE, EXTENSION_ID, URI


class CardResource(Resource):
    """One document, made when it is first read."""

    async def read(self) -> str:
        """Return the document."""
        # Making one takes a moment, in which other requests go on.
        return await asyncio.to_thread(card_page, self.uri.removeprefix(URI))


class Cards(Extension):
    """The extension of MCP Apps. Its documents hold no data of anybody; `mcp_server/cards.py` says which tool has which."""

    identifier = EXTENSION_ID

    def settings(self) -> dict[str, Any]:
        """Return the media types of documents."""
        return {"mimeTypes": [APP_MIME_TYPE]}

    def resources(self) -> Sequence[ResourceBinding]:
        """Return a resource for each card. A host reads it by the address that a tool names."""
        return [
            ResourceBinding(
                CardResource(
                    uri=f"{URI}{name}",
                    name=name,
                    title=title,
                    mime_type=APP_MIME_TYPE,
                    # No `csp`: a card loads nothing and sends nothing, which is what hosts allow by default.
                    meta={"ui": {"prefersBorder": True}},
                )
            )
            for name, title in CARDS.items()
        ]
