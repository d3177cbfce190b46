"""`firecrawl`: pages in Firecrawl's format, read by our own engine; with a key, all of Firecrawl's
API.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from codewords_mcp.common.json_parts import list_of
from codewords_mcp.errors import TooBusy, UpstreamFailed
from codewords_mcp.runtime.auth.authority import CallTarget, host_of
from codewords_mcp.runtime.services.base import (
    Operation,
    ReadsWhen,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.pages import WebPage, read_page
from codewords_mcp.runtime.web.responses import error_text, read_response, retry_after

FIRECRAWL = ServiceCredential(
    "FIRECRAWL_API_KEY",
    "Make a key at https://www.firecrawl.dev/app/api-keys.",
    without="Pages are read and mapped by the runtime's own engine; crawl, search and extract are not available.",
)
LOCAL_FORMATS = ("markdown", "html", "rawHtml", "links")
PASSIVE_FIELDS = frozenset({
    "blockAds", "includeTags", "excludeTags", "location", "maxAge", "mobile", "parsers", "proxy", "removeBase64Images",
    "skipTlsVerification", "storeInCache", "waitFor",
})  # fmt: skip
"""Fields of a scrape at Firecrawl that change how a page is read, and have no effect on the page.
"""
MAX_LINKS = 5000
FORWARD_TIMEOUT = 110.0


class ScrapeInput(BaseModel):
    """Firecrawl's own fields. Fields that our own engine can't use are ignored."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    url: str
    formats: list[Any] = Field(default=["markdown"], description="markdown, html, rawHtml, links.")
    only_main_content: bool = Field(default=True, alias="onlyMainContent")
    timeout: float | None = Field(default=None, gt=0, description="Milliseconds.")


class MapInput(BaseModel):
    """The links of a page to its own site."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    url: str
    search: str | None = None
    limit: int = Field(default=MAX_LINKS, gt=0, le=100_000)
    include_subdomains: bool = Field(
        default=True, validation_alias=AliasChoices("includeSubdomains", "include_subdomains")
    )


class FirecrawlInput(BaseModel):
    """Any input of Firecrawl's API at this path."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class FirecrawlResponse(BaseModel):
    """Firecrawl's format: `success` with the requested data, or `error`."""

    model_config = ConfigDict(extra="allow")

    success: bool


async def scrape(context: ServiceContext, params: ScrapeInput) -> BaseModel:
    """Read one page. As at Firecrawl, a page that can't be read is a response with `success` false."""
    if key := await context.secret(FIRECRAWL):
        return await _forward(context, key, "v1/scrape")

    formats = [entry if isinstance(entry, str) else entry.get("type") for entry in params.formats]
    foreign = [str(name) for name in formats if name not in LOCAL_FORMATS]
    # Firecrawl counts milliseconds.
    seconds = min((params.timeout or 30_000) / 1000, 60)
    try:
        page = await read_page(
            context.web, params.url, context.policy, main=params.only_main_content, seconds=seconds
        )
    except UpstreamFailed as error:
        return FirecrawlResponse.model_validate(
            {"success": False, "error": str(error), "code": "SCRAPE_FAILED"}
        )

    result: dict[str, Any] = {"success": True, "data": _document(page, formats)}
    if foreign:
        result["warning"] = (
            "Without FIRECRAWL_API_KEY only these formats are available: " + ", ".join(LOCAL_FORMATS) + "."
        )

    return FirecrawlResponse.model_validate(result)


def _document(page: WebPage, formats: list[Any]) -> dict[str, Any]:
    made = page.markdown
    available: dict[str, Any] = {
        "markdown": made.text,
        "html": made.html,
        "rawHtml": page.raw,
        "links": made.links,
    }
    return {name: available[name] for name in formats if name in available} | {
        "metadata": {
            "title": made.title,
            "description": made.description,
            "language": made.language,
            "sourceURL": page.response.url,
            "url": page.response.url,
            "statusCode": page.response.status,
            "contentType": page.response.headers.get("content-type", ""),
        }
    }


async def map_site(context: ServiceContext, params: MapInput) -> BaseModel:
    """List the links of one page to its site. v2 returns objects, v1 texts."""
    if key := await context.secret(FIRECRAWL):
        return await _forward(context, key, "v1/map")

    try:
        page = await read_page(context.web, params.url, context.policy, main=False)
    except UpstreamFailed as error:
        return FirecrawlResponse.model_validate({"success": False, "error": str(error), "code": "MAP_FAILED"})

    host = _host(page.response.url)
    # A fragment is a part of the same page.
    links = [urljoin(page.response.url, link).partition("#")[0] for link in page.markdown.links]
    same_site = [
        link
        for link in dict.fromkeys(links)
        if _host(link) == host or (params.include_subdomains and _host(link).endswith(f".{host}"))
    ]
    if params.search:
        same_site = [link for link in same_site if params.search.lower() in link.lower()]
    same_site = same_site[: params.limit]
    # v1 lists texts, v2 objects.
    v2 = context.path.strip("/").startswith("v2")
    return FirecrawlResponse.model_validate(
        {"success": True, "links": [{"url": link} for link in same_site] if v2 else same_site}
    )


def _host(url: str) -> str:
    # A site is the same with and without it.
    return (urlsplit(url).hostname or "").removeprefix("www.")


async def forward_any(context: ServiceContext, params: FirecrawlInput) -> BaseModel:
    """Return Firecrawl's own response. Raises MissingCredential."""
    # Forwarded as it was received, with fields that the model does not know.
    del params
    return await _forward(context, await context.need("firecrawl", FIRECRAWL))


async def _forward(context: ServiceContext, key: str, path: str | None = None) -> BaseModel:
    """Forward the call to Firecrawl with the home's key. Raises TooBusy, UpstreamFailed, by its
    status.
    """
    requested_path = context.path.strip("/")
    # A version that the caller asked for is kept.
    if requested_path.startswith(("v1/", "v2/")):
        target = requested_path
    else:
        target = path or requested_path

    sends = context.method in {"POST", "PUT", "PATCH"}
    response = await context.web.api(
        context.settings.firecrawl_base_url,
        f"/{quote(target)}",
        method=context.method,
        headers={"Authorization": f"Bearer {key}"},
        content=context.data if sends else None,
        params=None if sends else {name: str(value) for name, value in context.data.items()},
        seconds=FORWARD_TIMEOUT,
    )
    if response.status == 429:
        raise TooBusy(
            "Firecrawl's rate limit is reached.", retry_after=retry_after(response), hint="Try again later."
        )
    if response.status >= 400:
        raise UpstreamFailed(
            f"Firecrawl answered {response.status}.",
            upstream_status=response.status,
            upstream_said=error_text(response, "error"),
            hint="Check FIRECRAWL_API_KEY and the input." if response.status < 500 else "Try again later.",
        )

    return read_response(FirecrawlInput, response)


# Fields that lead to no address but `url` and `urls`, and to pages of the same sites.
_SAME_SITE_FIELDS = PASSIVE_FIELDS | {
    "url", "urls", "formats", "onlyMainContent", "only_main_content", "timeout", "search", "limit", "includeSubdomains",
    "include_subdomains", "maxDepth", "includePaths", "excludePaths", "ignoreSitemap", "sitemapOnly", "sitemap",
}  # fmt: skip
# A host that no list contains: allowed only if any host is.
_ANY_HOST = CallTarget("host", "")


def _page_targets(params: BaseModel) -> list[CallTarget]:
    """Return the targets of a call. A field that may lead elsewhere (`actions`, `webhook`) requires
    any host.
    """
    fields = params.model_dump(by_alias=True, exclude_unset=True)
    urls = list_of(fields.get("urls"))
    if "url" in fields:
        urls = [fields["url"], *urls]
    pages = [host_of(url) if isinstance(url, str) else _ANY_HOST for url in urls]
    # A field that is not known may hold an address.
    if fields.keys() <= _SAME_SITE_FIELDS:
        return pages
    return [*pages, _ANY_HOST]


def _page_targets_or_any_host(params: BaseModel) -> list[CallTarget]:
    """As `_page_targets`, but an input without an address (a search) may go anywhere.

    An empty input only reads a job's state and has no target.
    """
    pages = _page_targets(params)
    if pages or not params.model_dump(exclude_unset=True):
        return pages
    return [_ANY_HOST]


SERVICE = Service(
    name="firecrawl",
    title="Firecrawl",
    summary="A web page in Firecrawl's shape, read by the runtime itself, or by Firecrawl where its key is set.",
    operations=(
        Operation(
            "Read one page",
            ScrapeInput,
            FirecrawlResponse,
            scrape,
            effect="writes",
            # Others make Firecrawl act on the page (`actions`), or are unknown here.
            reads_when=ReadsWhen(passive=PASSIVE_FIELDS),
            targets=_page_targets,
            aliases=("scrape", "v1/scrape", "v2/scrape"),
            example={"url": "https://example.org/", "formats": ["markdown"], "onlyMainContent": True},
        ),
        Operation(
            "List the links of a page on its site",
            MapInput,
            FirecrawlResponse,
            map_site,
            effect="reads",
            targets=_page_targets,
            path="map",
            aliases=("v1/map", "v2/map"),
            example={"url": "https://example.org/"},
        ),
        Operation(
            "Any other call of Firecrawl's API, at Firecrawl",
            FirecrawlInput,
            FirecrawlResponse,
            forward_any,
            effect="writes",
            targets=_page_targets_or_any_host,
            path="v1/*",
            aliases=("v2/*",),
            example={},
        ),
    ),
    credentials=(FIRECRAWL,),
)
