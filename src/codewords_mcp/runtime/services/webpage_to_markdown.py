"""`webpage_to_markdown`: what a reader came to a page for, as Markdown."""

from __future__ import annotations

import asyncio

from pydantic import AliasChoices, Field

from codewords_mcp.errors import AddressRefused, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.auth.authority import host_of
from codewords_mcp.runtime.browser.actions import ExtractHtml, Navigate, Wait
from codewords_mcp.runtime.browser.base import StepFailed, Tab
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.web.markdown import Markdown, to_markdown
from codewords_mcp.runtime.web.pages import read_page

SETTLE = 1.0
"""Seconds that a rendered page gets after it was loaded, for what it fetches itself."""


class WebpageInput(Input):
    """One page."""

    url: str = Field(description="http:// or https://, whole.")
    main_content: bool = Field(
        default=True,
        validation_alias=AliasChoices("main_content", "only_main_content", "onlyMainContent"),
        description="Leave out navigation, side columns, banners and footers.",
    )
    render: bool = Field(
        default=False, description="Let a browser build the page first, for pages that are made by script."
    )
    timeout: float = Field(default=30, gt=0, le=60, description="Seconds.")


class WebpageOutput(Output):
    """`markdown` with whole links; `content` is the same. `url` is where redirects led."""

    success: bool
    markdown: str
    content: str
    title: str
    description: str
    language: str
    url: str
    status_code: int
    links: list[str]


async def call(context: ServiceContext, asked: WebpageInput) -> WebpageOutput:
    """Raises UpstreamFailed where the site answers with an error, NotConnected for `render` without a browser."""
    if asked.render:
        url, status, made = await _rendered(context, asked)
    else:
        policy = context.policy
        page = await read_page(context.web, asked.url, policy, main=asked.main_content, seconds=asked.timeout)
        url, status, made = page.reply.url, page.reply.status, page.markdown

    if status >= 400:
        raise UpstreamFailed(
            f"The site answered {status} for this page.",
            upstream_status=status,
            hint="Open the address in a browser: it may be gone, need a sign-in, or turn programs away.",
        )

    return WebpageOutput(
        success=True,
        markdown=made.text,
        content=made.text,
        title=made.title,
        description=made.description,
        language=made.language,
        url=url,
        status_code=status,
        links=made.links,
    )


async def _rendered(context: ServiceContext, asked: WebpageInput) -> tuple[str, int, Markdown]:
    """(where redirects led, the site's status, the page). Raises AddressRefused, UpstreamFailed, UpstreamTimedOut."""
    try:
        async with context.browser() as tab:
            return await _built(tab, asked)
    except StepFailed as failed:
        if failed.reason == "refused":
            raise AddressRefused(failed.message) from None
        if failed.reason == "timed_out":
            kind = UpstreamTimedOut
        else:
            kind = UpstreamFailed

        raise kind(failed.message) from None


async def _built(tab: Tab, asked: WebpageInput) -> tuple[str, int, Markdown]:
    page = await tab.act(Navigate(type="navigate", url=asked.url), asked.timeout)
    await tab.act(Wait(type="wait", time=SETTLE), asked.timeout)
    read = await tab.act(ExtractHtml(type="extract_html"), asked.timeout)
    html = str(read.values["html"])
    made = await asyncio.to_thread(to_markdown, html, read.url, main=asked.main_content)
    return read.url, page.values.get("status") or 200, made


SERVICE = Service(
    name="webpage_to_markdown",
    title="Webpage to Markdown",
    summary="What a reader came to a web page for, as Markdown; with `render` also of pages that only a browser can build.",
    operations=(
        Operation(
            "Read one page",
            WebpageInput,
            WebpageOutput,
            call,
            effect="reads",
            targets=lambda asked: [host_of(asked.url)],
            example={"url": "https://example.org/"},
        ),
    ),
)
