"""`firecrawl`: pages in Firecrawl's shape, read by our own engine; with a key, everything that Firecrawl does, at Firecrawl."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote, urljoin, urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from codewords_mcp.errors import TooBusy, UpstreamFailed
from codewords_mcp.runtime.auth.authority import CallTarget, host_of
from codewords_mcp.runtime.services.base import Operation, Service, ServiceContext, ServiceCredential
from codewords_mcp.runtime.web.client import read_reply, retry_after, said
from codewords_mcp.runtime.web.pages import WebPage, read_page

FIRECRAWL = ServiceCredential(
    "FIRECRAWL_API_KEY",
    "Make a key at https://www.firecrawl.dev/app/api-keys.",
    without="Pages are read and mapped by the runtime's own engine; crawl, search and extract are not there.",
)
LOCAL_FORMATS = ("markdown", "html", "rawHtml", "links")
PASSIVE_FIELDS = frozenset({
    "blockAds", "includeTags", "excludeTags", "location", "maxAge", "mobile", "parsers", "proxy", "removeBase64Images",
    "skipTlsVerification", "storeInCache", "waitFor",
})  # fmt: skip
"""Fields of a scrape at Firecrawl that change how a page is read, and nothing on it."""
MAX_LINKS = 5000
PASS_SECONDS = 110.0


class Scrape(BaseModel):
    """Firecrawl's own fields; those that the engine at hand has no use for are left alone."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    url: str
    formats: list[Any] = Field(default=["markdown"], description="markdown, html, rawHtml, links.")
    only_main_content: bool = Field(default=True, alias="onlyMainContent")
    timeout: float | None = Field(default=None, gt=0, description="Milliseconds.")


class Map(BaseModel):
    """The links of a page on its own site."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    url: str
    search: str | None = None
    limit: int = Field(default=MAX_LINKS, gt=0, le=100_000)
    include_subdomains: bool = Field(
        default=True, validation_alias=AliasChoices("includeSubdomains", "include_subdomains")
    )


class FirecrawlInput(BaseModel):
    """What Firecrawl's own API takes at this path."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class FirecrawlResponse(BaseModel):
    """Firecrawl's shape: `success`, and what was asked for; `error` where there is none."""

    model_config = ConfigDict(extra="allow")

    success: bool


async def scrape(context: ServiceContext, asked: Scrape) -> BaseModel:
    """One page. A page that cannot be read is an answer with `success` false, as Firecrawl has it."""
    if key := await context.secret(FIRECRAWL):
        return await _pass_on(context, key, "v1/scrape")

    wanted = [one if isinstance(one, str) else one.get("type") for one in asked.formats]
    foreign = [str(name) for name in wanted if name not in LOCAL_FORMATS]
    seconds = min((asked.timeout or 30_000) / 1000, 60)
    try:
        page = await read_page(
            context.web, asked.url, context.policy, main=asked.only_main_content, seconds=seconds
        )
    except UpstreamFailed as error:
        return FirecrawlResponse.model_validate(
            {"success": False, "error": str(error), "code": "SCRAPE_FAILED"}
        )

    told: dict[str, Any] = {"success": True, "data": _document(page, wanted)}
    if foreign:
        told["warning"] = (
            "Without FIRECRAWL_API_KEY only these formats are made: " + ", ".join(LOCAL_FORMATS) + "."
        )

    return FirecrawlResponse.model_validate(told)


def _document(page: WebPage, wanted: list[Any]) -> dict[str, Any]:
    made = page.markdown
    have: dict[str, Any] = {
        "markdown": made.text,
        "html": made.html,
        "rawHtml": page.raw,
        "links": made.links,
    }
    return {name: have[name] for name in wanted if name in have} | {
        "metadata": {
            "title": made.title,
            "description": made.description,
            "language": made.language,
            "sourceURL": page.reply.url,
            "url": page.reply.url,
            "statusCode": page.reply.status,
            "contentType": page.reply.headers.get("content-type", ""),
        }
    }


async def map_site(context: ServiceContext, asked: Map) -> BaseModel:
    """The addresses that one page links to on its site. v2 gives objects, v1 texts."""
    if key := await context.secret(FIRECRAWL):
        return await _pass_on(context, key, "v1/map")

    try:
        page = await read_page(context.web, asked.url, context.policy, main=False)
    except UpstreamFailed as error:
        return FirecrawlResponse.model_validate({"success": False, "error": str(error), "code": "MAP_FAILED"})

    host = _host(page.reply.url)
    links = [urljoin(page.reply.url, link).partition("#")[0] for link in page.markdown.links]
    own = [
        link
        for link in dict.fromkeys(links)
        if _host(link) == host or (asked.include_subdomains and _host(link).endswith(f".{host}"))
    ]
    if asked.search:
        own = [link for link in own if asked.search.lower() in link.lower()]
    own = own[: asked.limit]
    v2 = context.path.strip("/").startswith("v2")
    return FirecrawlResponse.model_validate(
        {"success": True, "links": [{"url": link} for link in own] if v2 else own}
    )


def _only_reads(asked: Scrape) -> bool:
    """No field that makes Firecrawl act on the page (`actions`), or that is unknown here."""
    return not set(asked.model_extra or {}) - PASSIVE_FIELDS


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").removeprefix("www.")


async def anything(context: ServiceContext, asked: FirecrawlInput) -> BaseModel:
    """Firecrawl's own answer. Raises MissingCredential."""
    del asked
    return await _pass_on(context, await context.need("firecrawl", FIRECRAWL))


async def _pass_on(context: ServiceContext, key: str, path: str | None = None) -> BaseModel:
    """Ask Firecrawl what we were asked, with the home's key. Raises TooBusy, UpstreamFailed, by its status."""
    asked = context.path.strip("/")
    if asked.startswith(("v1/", "v2/")):
        target = asked
    else:
        target = path or asked

    sends = context.method in {"POST", "PUT", "PATCH"}
    reply = await context.web.api(
        context.settings.firecrawl_base_url,
        f"/{quote(target)}",
        method=context.method,
        headers={"Authorization": f"Bearer {key}"},
        content=context.data if sends else None,
        params=None if sends else {name: str(value) for name, value in context.data.items()},
        seconds=PASS_SECONDS,
    )
    if reply.status == 429:
        raise TooBusy(
            "Firecrawl takes no more calls for now.", retry_after=retry_after(reply), hint="Try again later."
        )
    if reply.status >= 400:
        raise UpstreamFailed(
            f"Firecrawl answered {reply.status}.",
            upstream_status=reply.status,
            upstream_said=said(reply, "error"),
            hint="Check FIRECRAWL_API_KEY and what was asked." if reply.status < 500 else "Try again later.",
        )

    return read_reply(FirecrawlInput, reply)


_WITHIN = PASSIVE_FIELDS | {
    "url", "urls", "formats", "onlyMainContent", "only_main_content", "timeout", "search", "limit", "includeSubdomains",
    "include_subdomains", "maxDepth", "includePaths", "excludePaths", "ignoreSitemap", "sitemapOnly", "sitemap",
}  # fmt: skip
"""Fields that lead to no address but `url` and `urls`, and to pages of their sites."""
_ANYWHERE = CallTarget("host", "")
"""A host that no list has: allowed where any host is."""


def _pages(asked: BaseModel) -> list[CallTarget]:
    """What a call goes to. A field that may lead elsewhere (`actions`, `webhook`) asks for any page."""
    given = asked.model_dump(by_alias=True, exclude_unset=True)
    several: Any = given.get("urls")
    urls: list[Any] = cast("list[Any]", several) if isinstance(several, list) else []
    if "url" in given:
        urls = [given["url"], *urls]
    pages = [host_of(url) if isinstance(url, str) else _ANYWHERE for url in urls]
    if given.keys() <= _WITHIN:
        return pages
    return [*pages, _ANYWHERE]


def _pages_or_any(asked: BaseModel) -> list[CallTarget]:
    """The same; what names no address (a search) goes anywhere. Nothing at all only asks how something stands."""
    pages = _pages(asked)
    if pages or not asked.model_dump(exclude_unset=True):
        return pages
    return [_ANYWHERE]


SERVICE = Service(
    name="firecrawl",
    title="Firecrawl",
    summary="A web page in Firecrawl's shape, read by the runtime itself, or by Firecrawl where its key is set.",
    operations=(
        Operation(
            "Read one page",
            Scrape,
            FirecrawlResponse,
            scrape,
            effect="writes",
            reads_when=_only_reads,
            targets=_pages,
            aliases=("scrape", "v1/scrape", "v2/scrape"),
            example={"url": "https://example.org/", "formats": ["markdown"], "onlyMainContent": True},
        ),
        Operation(
            "List the links of a page on its site",
            Map,
            FirecrawlResponse,
            map_site,
            effect="reads",
            targets=_pages,
            path="map",
            aliases=("v1/map", "v2/map"),
            example={"url": "https://example.org/"},
        ),
        Operation(
            "Whatever else Firecrawl does, at Firecrawl",
            FirecrawlInput,
            FirecrawlResponse,
            anything,
            effect="writes",
            targets=_pages_or_any,
            path="v1/*",
            aliases=("v2/*",),
            example={},
        ),
    ),
    credentials=(FIRECRAWL,),
)
