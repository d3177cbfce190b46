"""Reads a page by its address: fetched by the guarded client, as Markdown."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.model.egress_policy import EgressPolicy
from codewords_mcp.runtime.web.client import TIMEOUT, Web
from codewords_mcp.runtime.web.markdown import Markdown, decode, to_markdown
from codewords_mcp.runtime.web.responses import WebResponse

_ACCEPT = {"Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.5"}
_TEXT = ("text/plain", "text/markdown", "text/csv", "application/json", "text/xml", "application/xml")


@dataclass(frozen=True, slots=True)
class WebPage:
    """A fetched page: the response, its text as sent (`raw`), and the Markdown."""

    response: WebResponse
    raw: str
    markdown: Markdown


async def read_page(
    web: Web, url: str, policy: EgressPolicy, *, main: bool = True, seconds: float = TIMEOUT
) -> WebPage:
    """The page, whatever its status.

    Raises as `Web.fetch`, and UpstreamFailed for content that is no text.
    """
    response = await web.fetch(url, policy=policy, headers=_ACCEPT, seconds=seconds)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    raw = decode(response.body, response.headers.get("content-type", ""))
    if kind in _TEXT:
        return WebPage(response, raw, Markdown(raw, raw, "", "", "", []))
    if kind not in {"", "text/html", "application/xhtml+xml"}:
        raise UpstreamFailed(
            "The content of this address is not a page of text.",
            upstream_status=response.status,
            hint="HTML and plain text can be read; a PDF, an image or a download cannot.",
        )

    # In a thread, since parsing takes milliseconds for each 100 kB.
    return WebPage(response, raw, await asyncio.to_thread(to_markdown, raw, response.url, main=main))
