"""`searchapi`: results of Google, Bing, YouTube and others, by SearchApi or by the operator's
SearXNG.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import AliasChoices, ConfigDict, Field

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import InvalidInput, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.responses import WebResponse, error_text, retry_after

SEARCHAPI_API_KEY = ServiceCredential(
    "SEARCHAPI_API_KEY", "Make one at https://www.searchapi.io/api_tokens, or set CODEWORDS_SEARXNG_URL."
)
# SearXNG's category that is closest to an engine of SearchApi.
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
# SearchApi's field for results that are not pages, by category.
_RESULT_FIELDS = {"images": "images", "videos": "videos"}


class SearchInput(Input):
    """A search. Other parameters of SearchApi's engine (`location`, `gl`, `time_period` …) are
    passed on.
    """

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
        description="Maximum number of results.",
    )
    page: int = Field(default=1, ge=1, le=100)


class SearchOutput(Output):
    """SearchApi's response unchanged: `organic_results`, or `videos`, `images` and others by the
    engine.
    """

    model_config = ConfigDict(extra="allow")

    success: bool
    engine: str
    organic_results: list[dict[str, Any]] = Field(
        description="Each with `position`, `title`, `link` and `snippet`."
    )


async def search(context: ServiceContext, params: SearchInput) -> SearchOutput:
    """Search. Raises MissingCredential, TooBusy, UpstreamFailed, InvalidInput for a parameter that
    is not plain.
    """
    key = await context.secret(SEARCHAPI_API_KEY)
    # A key comes first: SearchApi has engines and fields that SearXNG has not.
    if key is None and context.settings.searxng_url:
        return await _by_searxng(context, context.settings.searxng_url, params)

    key = key or await context.need("searchapi", SEARCHAPI_API_KEY)
    query = _plain_parameters(params.model_extra or {}) | {"engine": params.engine, "q": params.query}
    query |= {"page": str(params.page)} if params.page > 1 else {}
    # Other engines refuse the parameter.
    if params.num_results is not None and params.engine in {"google", "bing"}:
        query["num"] = str(params.num_results)
    response = await context.web.api(
        context.settings.searchapi_base_url,
        "/search",
        params=query,
        headers={"Authorization": f"Bearer {key}"},
    )
    body = _checked(response, "SearchApi")
    listed = {name: _truncated(value, params.num_results) for name, value in body.items()}
    results = body.get("organic_results")

    return SearchOutput.model_validate(
        listed | {"success": True, "engine": params.engine, "organic_results": _truncated(results, params.num_results) or []}
    )  # fmt: skip


async def _by_searxng(context: ServiceContext, base: str, params: SearchInput) -> SearchOutput:
    category = _CATEGORIES.get(params.engine)
    if category is None:
        raise InvalidInput(
            f"SearXNG, which replaces SearchApi here, has no category for the engine {params.engine}.",
            hint=f"Use {', '.join(_CATEGORIES)}. {SEARCHAPI_API_KEY.how}",
        )

    # SearXNG has no parameter for the number of results.
    query = {"q": params.query, "format": "json", "categories": category, "pageno": str(params.page)}
    if isinstance(language := (params.model_extra or {}).get("hl"), str):
        query["language"] = language
    body = _checked(await context.web.api(base, "/search", params=query), "SearXNG")
    found = body.get("results")
    if isinstance(found, list):
        rows = cast("list[Any]", found)
    else:
        rows = []

    results = [
        _result(position, cast("dict[str, Any]", row))
        for position, row in enumerate(rows[: params.num_results or 100], 1)
        if isinstance(row, dict)
    ]
    result_field = _RESULT_FIELDS.get(category)
    output: dict[str, Any] = {
        "success": True,
        "engine": params.engine,
        "organic_results": [] if result_field else results,
    }
    if result_field:
        output[result_field] = results
    suggestions = cast("list[Any]", body.get("suggestions") or [])
    output["related_searches"] = [{"query": text} for text in suggestions if isinstance(text, str)][:20]
    output["search_metadata"] = {"provider": "searxng", "status": "Success"}

    return SearchOutput.model_validate(output)


def _result(position: int, row: dict[str, Any]) -> dict[str, Any]:
    """Translate a result of SearXNG's to the field names of SearchApi."""
    names = {
        "title": "title", "url": "link", "content": "snippet", "publishedDate": "date", "engine": "source",
        "thumbnail": "thumbnail", "img_src": "original", "length": "length", "author": "channel",
    }  # fmt: skip
    return {"position": position} | {ours: row[theirs] for theirs, ours in names.items() if row.get(theirs)}


def _plain_parameters(more: dict[str, Any]) -> dict[str, str]:
    # Parameters are passed on, so they must be few and plain.
    if len(more) > 30 or not all(isinstance(value, str | int | float | bool) for value in more.values()):
        raise InvalidInput("A search takes at most 30 parameters: texts, numbers, true and false.")
    # The first would replace the key, the second turn the response into a script.
    if taken := {"api_key", "callback"} & more.keys():
        raise InvalidInput(f"`{min(taken)}` is not allowed here.", hint=SEARCHAPI_API_KEY.how)
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in more.items()
    }


def _truncated(value: JsonValue, number: int | None) -> JsonValue:
    if isinstance(value, list):
        return value[:number]
    return value


def _checked(response: WebResponse, provider: str) -> dict[str, Any]:
    if response.status == 429:
        raise TooBusy(f"{provider}'s rate limit is reached.", retry_after=retry_after(response, 60))
    if response.status >= 400:
        raise UpstreamFailed(
            f"{provider} answered {response.status}.",
            upstream_status=response.status,
            upstream_said=error_text(response, "error"),
            hint={
                401: f"{SEARCHAPI_API_KEY.name} is not valid.",
                403: "Allow JSON in SearXNG: `formats` in its settings.yml." if provider == "SearXNG" else "",
            }.get(response.status, "Check the engine and its parameters."),
        )

    body = response.json()
    if not isinstance(body, dict):
        raise UpstreamFailed(
            f"{provider}'s response has an unexpected format.", upstream_status=response.status
        )

    return cast("dict[str, Any]", body)


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
