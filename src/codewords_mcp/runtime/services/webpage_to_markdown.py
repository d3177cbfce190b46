"""`webpage_to_markdown`: the main content of a page, as Markdown."""

from __future__ import annotations

import asyncio

from pydantic import AliasChoices, Field

from codewords_mcp.errors import AddressRefused, UpstreamFailed, UpstreamTimedOut
from codewords_mcp.runtime.auth.authority import CallTarget, host_of
from codewords_mcp.runtime.browser.actions import ExtractHtml, Navigate, Wait
from codewords_mcp.runtime.browser.base import StepFailed, Tab
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.web.markdown import Markdown, to_markdown
from codewords_mcp.runtime.web.pages import read_page

SETTLE_SECONDS = 1.0
"""Seconds that a rendered page gets after loading, for the content that its scripts fetch."""


class WebpageInput(Input):
    """A page to read."""

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
    """`markdown` with absolute links; `content` is the same. `url` is the address after redirects."""

    success: bool
    markdown: str
    content: str
    title: str
    description: str
    language: str
    url: str
    status_code: int
    links: list[str]


async def call(context: ServiceContext, params: WebpageInput) -> WebpageOutput:
    """Read a page. Raises UpstreamFailed if the site answers with an error, NotConnected for
    `render` without a browser.
    """
    if params.render:
        url, status, markdown = await _read_rendered(context, params)
    else:
        policy = context.policy
        page = await read_page(
            context.web, params.url, policy, main=params.main_content, seconds=params.timeout
        )
        url, status, markdown = page.response.url, page.response.status, page.markdown

    if status >= 400:
        raise UpstreamFailed(
            f"The site answered {status} for this page.",
            upstream_status=status,
            hint="Open the address in a browser: it may be gone, need a sign-in, or refuse programs.",
        )

    return WebpageOutput(
        success=True,
        markdown=markdown.text,
        content=markdown.text,
        title=markdown.title,
        description=markdown.description,
        language=markdown.language,
        url=url,
        status_code=status,
        links=markdown.links,
    )


async def _read_rendered(context: ServiceContext, params: WebpageInput) -> tuple[str, int, Markdown]:
    """Return (address after redirects, the site's status, the page).

    Raises AddressRefused, UpstreamFailed, UpstreamTimedOut.
    """
    try:
        async with context.browser() as tab:
            return await _render_page(tab, params)
    except StepFailed as failed:
        if failed.reason == "refused":
            raise AddressRefused(failed.message) from None
        if failed.reason == "timed_out":
            kind = UpstreamTimedOut
        else:
            kind = UpstreamFailed

        raise kind(failed.message) from None


async def _render_page(tab: Tab, params: WebpageInput) -> tuple[str, int, Markdown]:
    page = await tab.act(Navigate(type="navigate", url=params.url), params.timeout)
    await tab.act(Wait(type="wait", time=SETTLE_SECONDS), params.timeout)
    read = await tab.act(ExtractHtml(type="extract_html"), params.timeout)
    html = str(read.values["html"])
    # In a thread, since parsing takes milliseconds for each 100 kB.
    markdown = await asyncio.to_thread(to_markdown, html, read.url, main=params.main_content)
    return read.url, page.values.get("status") or 200, markdown


def _targets(params: WebpageInput) -> list[CallTarget]:
    return [host_of(params.url)]


SERVICE = Service(
    name="webpage_to_markdown",
    title="Webpage to Markdown",
    summary="The main content of a web page, as Markdown; with `render` also for pages that are built by scripts.",
    operations=(
        Operation(
            "Read one page",
            WebpageInput,
            WebpageOutput,
            call,
            effect="reads",
            targets=_targets,
            example={"url": "https://example.org/"},
        ),
    ),
)
