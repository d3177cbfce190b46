"""A page by its address: fetched by the guarded client, read, as Markdown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.egress import EgressPolicy
from codewords_mcp.runtime.web.client import SECONDS, Web, WebResponse
from codewords_mcp.runtime.web.markdown import Markdown, decode, to_markdown

_ACCEPT = {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.5"}
_TEXT = ("text/plain", "text/markdown", "text/csv", "application/json", "text/xml", "application/xml")


@dataclass(frozen=True, slots=True)
class WebPage:
    """What came (`reply`), its text as sent (`raw`), and what was made of it."""

    reply: WebResponse
    raw: str
    markdown: Markdown


async def read_page(
    web: Web, url: str, policy: EgressPolicy, *, main: bool = True, seconds: float = SECONDS
) -> WebPage:
    """The page, whatever its status. Raises what `Web.fetch` raises, UpstreamFailed for what is no text."""
    reply = await web.fetch(url, policy=policy, headers=_ACCEPT, seconds=seconds)
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = decode(reply.body, reply.headers.get("content-type", ""))
    if kind in _TEXT:
        return WebPage(reply, raw, Markdown(raw, raw, "", "", "", []))
    if kind not in {"", "text/html", "application/xhtml+xml"}:
        raise UpstreamFailed(
            "What is at this address is no page of text.",
            upstream_status=reply.status,
            hint="HTML and plain text can be read; a PDF, an image or a download cannot.",
        )

    return WebPage(reply, raw, await asyncio.to_thread(to_markdown, raw, reply.url, main=main))
