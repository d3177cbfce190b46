"""`webpage_to_markdown`: what a reader came to a page for, as Markdown."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from codewords_mcp.errors import UpstreamFailed
from codewords_mcp.runtime.services.base import Context, Input, Operation, Output, Service
from codewords_mcp.runtime.web.pages import read_page


class Asked(Input):
    """One page."""

    url: str = Field(description="http:// or https://, whole.")
    main_content: bool = Field(
        default=True,
        validation_alias=AliasChoices("main_content", "only_main_content", "onlyMainContent"),
        description="Leave out navigation, side columns, banners and footers.",
    )
    timeout: float = Field(default=30, gt=0, le=60, description="Seconds.")


class Told(Output):
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


async def call(context: Context, asked: Asked) -> Told:
    """Raises UpstreamFailed where the site answers with an error."""
    policy = await context.policy()
    page = await read_page(context.web, asked.url, policy, main=asked.main_content, seconds=asked.timeout)
    status, made = page.reply.status, page.markdown
    if status >= 400:
        raise UpstreamFailed(
            f"The site answered {status} for this page.",
            upstream_status=status,
            hint="Open the address in a browser: it may be gone, need a sign-in, or turn programs away.",
        )
    return Told(
        success=True,
        markdown=made.text,
        content=made.text,
        title=made.title,
        description=made.description,
        language=made.language,
        url=page.reply.url,
        status_code=status,
        links=made.links,
    )


SERVICE = Service(
    name="webpage_to_markdown",
    title="Webpage to Markdown",
    summary="What a reader came to a web page for, as Markdown; pages that only a browser can build stay empty.",
    operations=(Operation("Read one page", Asked, Told, call, example={"url": "https://example.org/"}),),
)
