"""Cards of chat hosts (MCP Apps, 2026-01-26): which tool has which, who gets them, and what a result then says.

A host with cards shows a document of ours beside a tool's result. The document reads the result's data, so that the text, which
only the model reads, is short and names the page of the console that shows the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, client_supports_apps
from mcp_types import CallToolResult, ContentBlock, TextContent

from codewords_mcp.mcp_server.context import RequestContext, ToolContext
from codewords_mcp.mcp_server.text import one_line

URI: Final = "ui://codewords/"
LINES: Final = 12
"""Lines of a text beside a card."""
CONSOLE_KEY: Final = "codewords/console"
"""Key in a result's `_meta` of the console's page about it."""
INBOX: Final = "/console/inbox"
_FENCE: Final = re.compile(r"^<([0-9a-f]{8})> (.*)$")
_LINE: Final = 400
_EXTRAS: Final = ("Last ", "Trace", "Asked", "Beside ", "Its code")
"""Labels of blocks that a card shows, which a text beside it leaves out first."""

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Card:
    """The card of a tool: its name, and the console's page about a result.

    A call with one of the arguments `whole` asks for the text itself, which is then not shortened.
    """

    name: str
    page: Callable[[Data], str]
    whole: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """The address of its document."""
        return f"{URI}{self.name}"

    def meta(self) -> dict[str, Any]:
        """Return a tool's `_meta`, in both forms that hosts read."""
        return {
            "ui": {"resourceUri": self.uri, "visibility": ["model", "app"]},
            "ui/resourceUri": self.uri,
        }


APP_ONLY: Final[dict[str, Any]] = {"ui": {"visibility": ["app"]}}
"""The `_meta` of a tool that cards call, and models don't see."""


def _page_of(data: Data, key: str, folder: str) -> str:
    found = data.get(key)
    if isinstance(found, str):
        return f"{folder}/{quote(found, safe='')}"
    return folder


RUN_CARD = Card(
    "run", lambda data: _page_of(data, "run_id", "/console/runs"), ("path", "offset", "log_lines")
)
REVIEW_CARD = Card("deploy-review", lambda data: _page_of(data, "workflow_id", "/console/workflows"))
INBOX_CARD = Card("inbox-item", lambda _: INBOX)
FORM_CARD = Card("input-form", lambda data: _page_of(data, "workflow_id", "/console/workflows"))
USAGE_CARD = Card("usage", lambda _: "/console/usage")


def shows_cards(ctx: RequestContext | ToolContext) -> bool:
    """Whether the client of this request announced that it shows cards."""
    return client_supports_apps(ctx)


def with_console_page(card: Card, result: CallToolResult, base_url: str) -> CallToolResult:
    """The result with the console's page about it, where no model reads: some hosts show cards without saying that they do."""
    meta = dict(result.meta or {})
    if result.is_error:
        if "url" in meta.get("codewords/error", {}):
            path = INBOX
        else:
            path = "/console"
    else:
        path = card.page(result.structured_content or {})
    return result.model_copy(update={"meta": meta | {CONSOLE_KEY: f"{base_url}{path}"}})


def beside_card(card: Card, arguments: Data, result: CallToolResult) -> CallToolResult:
    """The result for a host that announced cards: its text is few lines, with the console's page."""
    last = f"The user sees this as a card; in the console: {(result.meta or {})[CONSOLE_KEY]}"
    content: list[ContentBlock] = list(result.content)
    if content and isinstance(first := content[0], TextContent):
        whole = any(arguments.get(name) for name in card.whole)
        text = first.text if whole else brief(first.text, LINES - 1)
        content[0] = TextContent(type="text", text=f"{text}\n{last}")
    return result.model_copy(update={"content": content})


def brief(text: str, limit: int) -> str:
    """A text in at most `limit` lines: blocks that a card shows go first, then the ends of the longest blocks.

    A fence is never cut from its block: what is left of outside text stays marked as data.
    """
    parts = _parts(text)
    for extra in [part for part in reversed(parts) if part.label.startswith(_EXTRAS)]:
        if _height(parts) > limit:
            parts.remove(extra)
    while _height(parts) > limit and (longest := max(parts, key=lambda part: len(part.lines))).lines[1:]:
        longest.lines.pop()
    while _height(parts) > limit:
        # The first line says what happened, the last what to do.
        parts.pop(-2)
    return "\n".join(part.text() for part in parts)


@dataclass(eq=False, slots=True)
class _Part:
    """A line of ours, or a block of outside text with its fence."""

    lines: list[str]
    boundary: str = ""
    label: str = ""

    @property
    def height(self) -> int:
        return len(self.lines) + (2 if self.boundary else 0)

    def text(self) -> str:
        if not self.boundary:
            return self.lines[0]
        return "\n".join([f"<{self.boundary}> {self.label}", *self.lines, f"</{self.boundary}>"])


def _parts(text: str) -> list[_Part]:
    parts: list[_Part] = []
    lines = iter(text.splitlines())
    for line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            parts.append(_Part([line]))
            continue
        inside: list[str] = []
        for inner in lines:
            if inner == f"</{opening[1]}>":
                break
            inside.append(one_line(inner, _LINE))
        parts.append(_Part(inside or [""], opening[1], opening[2]))
    return parts


def _height(parts: list[_Part]) -> int:
    return sum(part.height for part in parts)


__all__ = [
    "APP_MIME_TYPE", "APP_ONLY", "CONSOLE_KEY", "EXTENSION_ID", "FORM_CARD", "INBOX_CARD", "LINES", "REVIEW_CARD", "RUN_CARD",
    "URI", "USAGE_CARD", "Card", "beside_card", "brief", "shows_cards",
    "with_console_page",
]  # fmt: skip
