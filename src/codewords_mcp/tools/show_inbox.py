"""`show_inbox`: what waits for the user, as a card that leads to each page."""

from __future__ import annotations

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel

from codewords_mcp.mcp_server.cards import INBOX_CARD
from codewords_mcp.mcp_server.context import ToolContext, runtime_and_caller
from codewords_mcp.mcp_server.text import fence, one_line
from codewords_mcp.mcp_server.tool import READS, tool, tool_result
from codewords_mcp.runtime.model.session import WaitingPage
from codewords_mcp.tools._waiting import may_see

_SHOWN = 5


class WaitingItem(BaseModel):
    """A page that waits; `path` is its address in the console."""

    kind: str
    title: str
    path: str


class Inbox(BaseModel):
    """All that waits, the newest first."""

    items: list[WaitingItem] = []


async def show_inbox(ctx: ToolContext) -> Annotated[CallToolResult, Inbox]:
    """Show the user the questions, secrets and connections that wait for them."""
    runtime, caller = runtime_and_caller(ctx)
    pages = await runtime.sessions.waiting_pages(caller)
    items = [_item(page) for page in pages if may_see(ctx, page.kind)]
    if not items:
        return tool_result(Inbox(), "Nothing waits for the user.")
    titles = "\n".join(f"{item.kind}: {item.title}" for item in items[:_SHOWN])
    if len(items) > _SHOWN:
        more = f" ({len(items) - _SHOWN} more)"
    else:
        more = ""
    lines = [
        f"{len(items)} waiting for the user{more}; only they can answer, in the console.",
        fence("What waits", titles, 1_000),
    ]
    return tool_result(Inbox(items=items), "\n".join(lines))


def _item(page: WaitingPage) -> WaitingItem:
    return WaitingItem(kind=page.kind, title=one_line(page.title, 120), path=page.path)


TOOL = tool(show_inbox, title="Show inbox", hints=READS, card=INBOX_CARD, for_cards=True)
