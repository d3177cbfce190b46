"""`searchapi`: results of Google, Bing, YouTube and others, by SearchApi; or by a SearXNG that the operator names."""

from __future__ import annotations

from typing import Any, cast

from pydantic import AliasChoices, ConfigDict, Field

from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.client import WebResponse, retry_after, said

SEARCHAPI_API_KEY = ServiceCredential(
    "SEARCHAPI_API_KEY", "Make one at https://www.searchapi.io/api_tokens, or set CODEWORDS_SEARXNG_URL."
)
_CATEGORIES = {
    "google": "general",
    "bing": "general",
    "duckduckgo": "general",
    "google_news": "news",
    "bing_news": "news",
    "google_images": "images",
    "bing_images": "images",
    "youtube": "videos",
    "google_videos": "videos",
    "bing_videos": "videos",
    "google_scholar": "science",
}
"""What of SearXNG comes nearest to an engine of SearchApi's."""
_LISTS = {"images": "images", "videos": "videos"}
"""Where SearchApi lists what is no page."""


class SearchInput(Input):
    """A search. What else SearchApi's engine takes (`location`, `gl`, `time_period` …) is passed on."""

    model_config = ConfigDict(extra="allow")

    query: str = Field(min_length=1, max_length=2048, validation_alias=AliasChoices("query", "q"))
    engine: str = Field(
        default="google",
        pattern=r"^[a-z0-9_]{1,40}$",
        description="`google`, `bing`, `youtube`, `google_news` and others.",
    )
    num_results: int | None = Field(
        default=None,
        ge=1,
        le=100,
        validation_alias=AliasChoices("num_results", "num", "limit"),
        description="Results at most.",
    )
    page: int = Field(default=1, ge=1, le=100)


class SearchOutput(Output):
    """What SearchApi answers, as it is: `organic_results`, or `videos`, `images` and others by the engine."""

    model_config = ConfigDict(extra="allow")

    success: bool
    engine: str
    organic_results: list[dict[str, Any]] = Field(
        description="Each with `position`, `title`, `link` and `snippet`."
    )


async def search(context: ServiceContext, asked: SearchInput) -> SearchOutput:
    """Raises MissingCredential, TooBusy, UpstreamFailed, InvalidInput for a parameter that is no plain value."""
    key = await context.secret(SEARCHAPI_API_KEY)
    if key is None and context.settings.searxng_url:
        return await _by_searxng(context, context.settings.searxng_url, asked)

    key = key or await context.need("searchapi", SEARCHAPI_API_KEY)
    params = _plain(asked.model_extra or {}) | {"engine": asked.engine, "q": asked.query}
    params |= {"page": str(asked.page)} if asked.page > 1 else {}
    if asked.num_results is not None and asked.engine in {"google", "bing"}:
        params["num"] = str(asked.num_results)
    reply = await context.web.api(
        context.settings.searchapi_base_url,
        "/search",
        params=params,
        headers={"Authorization": f"Bearer {key}"},
    )
    told = _checked(reply, "SearchApi")
    listed = {name: _first(value, asked.num_results) for name, value in told.items()}
    results = told.get("organic_results")

    return SearchOutput.model_validate(
        listed | {"success": True, "engine": asked.engine, "organic_results": _first(results, asked.num_results) or []}
    )  # fmt: skip


async def _by_searxng(context: ServiceContext, base: str, asked: SearchInput) -> SearchOutput:
    category = _CATEGORIES.get(asked.engine)
    if category is None:
        raise InvalidInput(
            f"SearXNG, which stands in for SearchApi here, has nothing like the engine {asked.engine}.",
            hint=f"Use {', '.join(_CATEGORIES)}. {SEARCHAPI_API_KEY.how}",
        )

    params = {"q": asked.query, "format": "json", "categories": category, "pageno": str(asked.page)}
    if isinstance(language := (asked.model_extra or {}).get("hl"), str):
        params["language"] = language
    told = _checked(await context.web.api(base, "/search", params=params), "SearXNG")
    found = told.get("results")
    if isinstance(found, list):
        rows = cast("list[Any]", found)
    else:
        rows = []

    results = [
        _result(position, cast("dict[str, Any]", row))
        for position, row in enumerate(rows[: asked.num_results or 100], 1)
        if isinstance(row, dict)
    ]
    where = _LISTS.get(category)
    answer: dict[str, Any] = {
        "success": True,
        "engine": asked.engine,
        "organic_results": [] if where else results,
    }
    if where:
        answer[where] = results
    suggestions = cast("list[Any]", told.get("suggestions") or [])
    answer["related_searches"] = [{"query": text} for text in suggestions if isinstance(text, str)][:20]
    answer["search_metadata"] = {"provider": "searxng", "status": "Success"}

    return SearchOutput.model_validate(answer)


def _result(position: int, row: dict[str, Any]) -> dict[str, Any]:
    """A result of SearXNG's with the names that SearchApi has."""
    names = {
        "title": "title", "url": "link", "content": "snippet", "publishedDate": "date", "engine": "source",
        "thumbnail": "thumbnail", "img_src": "original", "length": "length", "author": "channel",
    }  # fmt: skip
    return {"position": position} | {ours: row[theirs] for theirs, ours in names.items() if row.get(theirs)}


def _plain(more: dict[str, Any]) -> dict[str, str]:
    if len(more) > 30 or not all(isinstance(value, str | int | float | bool) for value in more.values()):
        raise InvalidInput("A search's parameters are texts, numbers, true and false, 30 at most.")
    if taken := {"api_key", "callback"} & more.keys():
        raise InvalidInput(f"`{min(taken)}` is not taken here.", hint=SEARCHAPI_API_KEY.how)
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in more.items()
    }


def _first(value: Any, number: int | None) -> Any:
    if isinstance(value, list):
        return cast("list[Any]", value)[:number]
    return value


def _checked(reply: WebResponse, whose: str) -> dict[str, Any]:
    if reply.status == 429:
        raise TooBusy(f"{whose} takes no more searches for now.", retry_after=retry_after(reply, 60))
    if reply.status >= 400:
        raise UpstreamFailed(
            f"{whose} answered {reply.status}.",
            upstream_status=reply.status,
            upstream_said=said(reply, "error"),
            hint={
                401: f"{SEARCHAPI_API_KEY.name} is not valid any more.",
                403: "Let SearXNG give JSON: `formats` in its settings.yml." if whose == "SearXNG" else "",
            }.get(reply.status, "Check the engine and its parameters."),
        )

    told = reply.json()
    if not isinstance(told, dict):
        raise UpstreamFailed(
            f"{whose} answered in a shape that it should not have.", upstream_status=reply.status
        )

    return cast("dict[str, Any]", told)


SERVICE = Service(
    name="searchapi",
    title="Search",
    summary="Results of Google, Bing, YouTube and others by SearchApi, or by a SearXNG of your own.",
    operations=(
        Operation(
            "Search",
            SearchInput,
            SearchOutput,
            search,
            effect="reads",
            path="search",
            aliases=("",),
            example={"engine": "google", "query": "single-file web services", "num_results": 5},
        ),
    ),
    credentials=(SEARCHAPI_API_KEY,),
)
