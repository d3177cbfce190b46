"""`github`: search for people, repositories, code and issues; a repository, its readme, a user."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import quote

from pydantic import AliasChoices, Field

from codewords_mcp.common.json_parts import list_of
from codewords_mcp.errors import NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.web.responses import WebResponse, error_text, retry_after

GITHUB_TOKEN = ServiceCredential(
    "GITHUB_TOKEN",
    "Make a token without any scope at https://github.com/settings/tokens.",
    without="GitHub allows 60 calls an hour and no search of code.",
)
MAX_RESULTS = 1000
"""GitHub returns no more results of one search."""
_NAME = r"^[A-Za-z0-9_.-]{1,100}$"
_NEXT_PAGE = re.compile(r'<([^>]*)>;\s*rel="next"')


class GithubSearch(Input):
    """A query in GitHub's own language. `page` counts from 1."""

    query: str = Field(min_length=1, max_length=256, validation_alias=AliasChoices("query", "q"))
    limit: int = Field(
        default=30,
        ge=1,
        le=100,
        validation_alias=AliasChoices("limit", "per_page", "num_results"),
        description="A page's length.",
    )
    page: int = Field(default=1, ge=1, le=MAX_RESULTS)
    sort: str | None = Field(default=None, pattern=r"^[a-z-]{1,30}$")
    order: str | None = Field(default=None, pattern=r"^(asc|desc)$")


class SearchResults(Output):
    """`items` as GitHub returns them. `next_page` is null at the end, after 1000 items at the
    latest.
    """

    success: bool
    total_count: int
    incomplete: bool = Field(description="GitHub stopped before it had searched everything.")
    items: list[dict[str, Any]]
    next_page: int | None


class RepositoryRef(Input):
    """A repository, by its owner and name."""

    owner: str = Field(pattern=_NAME)
    repo: str = Field(pattern=_NAME)


class UserRef(Input):
    """A user or an organisation, by name."""

    username: str = Field(pattern=_NAME, validation_alias=AliasChoices("username", "user", "login"))


class ItemOutput(Output):
    """`item` as GitHub returns it."""

    success: bool
    item: dict[str, Any]


class Readme(Output):
    """The readme's text, in its own markup language."""

    success: bool
    name: str
    content: str
    url: str


def _search(kind: str) -> Callable[[ServiceContext, GithubSearch], Awaitable[SearchResults]]:
    async def call(context: ServiceContext, params: GithubSearch) -> SearchResults:
        """Search. Raises TooBusy, UpstreamFailed; MissingCredential for code without a token."""
        if kind == "code":
            # GitHub's own refusal does not say how to get a token.
            await context.need("github", _REQUIRED_TOKEN)
        query = {"q": params.query, "per_page": str(params.limit), "page": str(params.page)}
        query |= {name: value for name in ("sort", "order") if (value := getattr(params, name))}
        response = await _request(context, f"/search/{kind}", query)
        body = _object(response)
        # GitHub says by this header whether there is a next page.
        more = _NEXT_PAGE.search(response.headers.get("link", "")) is not None

        return SearchResults(
            success=True,
            total_count=int(body.get("total_count") or 0),
            incomplete=bool(body.get("incomplete_results")),
            items=list_of(body.get("items")),
            next_page=params.page + 1 if more and params.page * params.limit < MAX_RESULTS else None,
        )

    return call


async def repository(context: ServiceContext, params: RepositoryRef) -> ItemOutput:
    """Return a repository. Raises NotFound, TooBusy, UpstreamFailed."""
    return ItemOutput(
        success=True, item=_object(await _request(context, _path("repos", params.owner, params.repo)))
    )


async def user(context: ServiceContext, params: UserRef) -> ItemOutput:
    """Return a user. Raises NotFound, TooBusy, UpstreamFailed."""
    return ItemOutput(success=True, item=_object(await _request(context, _path("users", params.username))))


async def readme(context: ServiceContext, params: RepositoryRef) -> Readme:
    """Return a repository's readme. Raises NotFound, TooBusy, UpstreamFailed."""
    body = _object(await _request(context, f"{_path('repos', params.owner, params.repo)}/readme"))
    try:
        content = base64.b64decode(body["content"]).decode(errors="replace")
        return Readme(
            success=True, name=str(body["name"]), content=content, url=str(body.get("html_url") or "")
        )
    except (KeyError, TypeError, binascii.Error):
        raise UpstreamFailed("GitHub returned a readme that can't be decoded.") from None


def _object(response: WebResponse) -> dict[str, Any]:
    body = response.json()
    if not isinstance(body, dict):
        raise UpstreamFailed("GitHub's response has an unexpected format.", upstream_status=response.status)
    return cast("dict[str, Any]", body)


def _path(*parts: str) -> str:
    # "." and ".." match the pattern of names, but would lead to another path.
    if any(set(part) == {"."} for part in parts):
        raise NotFound("GitHub has no repository or user of this name.")
    return "/" + "/".join(quote(part, safe="") for part in parts)


_REQUIRED_TOKEN = ServiceCredential(
    GITHUB_TOKEN.name, "GitHub requires a token to search code. " + GITHUB_TOKEN.how
)


async def _request(context: ServiceContext, path: str, query: dict[str, str] | None = None) -> WebResponse:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token := await context.secret(GITHUB_TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    response = await context.web.api(context.settings.github_base_url, path, params=query, headers=headers)
    if response.status < 400:
        return response
    if response.status == 404:
        # GitHub answers 404 for what the token may not see, too.
        raise NotFound(
            "GitHub has nothing of this name, or it needs permission to be seen.", hint=GITHUB_TOKEN.how
        )
    if _is_rate_limited(response):
        raise TooBusy(
            "GitHub's rate limit is reached.",
            retry_after=_seconds_until_reset(response),
            hint="Wait until it is reset."
            if token
            else f"Wait until it is reset, or set GITHUB_TOKEN: {GITHUB_TOKEN.how}",
        )

    raise UpstreamFailed(
        f"GitHub answered {response.status}.",
        upstream_status=response.status,
        upstream_said=error_text(response, "message"),
        hint={401: "GITHUB_TOKEN is not valid.", 422: "Check the query."}.get(response.status, ""),
    )


def _is_rate_limited(response: WebResponse) -> bool:
    """Whether a response reports a rate limit.

    The hourly limit has no calls left. The secondary limit sends `retry-after`, or only a message.
    """
    if response.status not in {403, 429}:
        return False
    headers = response.headers
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return response.status == 429 or spent or "rate limit" in error_text(response, "message").lower()


def _seconds_until_reset(response: WebResponse) -> int:
    if "retry-after" not in response.headers and response.headers.get("x-ratelimit-remaining") == "0":
        reset = response.headers.get("x-ratelimit-reset", "")
        # isdigit alone takes digits of other scripts.
        if reset.isascii() and reset.isdigit():
            # A header may hold any number of digits, or a time in the past.
            return max(1, min(int(reset[:12]) - now() // 1_000_000, 3600))
    return retry_after(response, 60)


_EXAMPLES = {
    "profiles": "python developers location:Lisbon",
    "repositories": "topic:sandbox language:python",
    "code": "PEP 723 in:file",
    "issues": "is:open label:bug",
}
_REPOSITORY = {"owner": "python", "repo": "cpython"}

SERVICE = Service(
    name="github",
    title="GitHub",
    summary="Search GitHub for people, repositories, code and issues; read a repository, its readme, a user.",
    operations=(
        *(
            Operation(
                f"Search {name}",
                GithubSearch,
                SearchResults,
                _search("users" if name == "profiles" else name),
                effect="reads",
                path=f"search_{name}",
                aliases=("search_users",) if name == "profiles" else (),
                example={"query": query},
            )
            for name, query in _EXAMPLES.items()
        ),
        Operation(
            "Show a repository",
            RepositoryRef,
            ItemOutput,
            repository,
            effect="reads",
            path="repository",
            aliases=("get_repository",),
            example=_REPOSITORY,
        ),
        Operation(
            "Read a repository's readme",
            RepositoryRef,
            Readme,
            readme,
            effect="reads",
            path="readme",
            aliases=("get_readme",),
            example=_REPOSITORY,
        ),
        Operation(
            "Show a user",
            UserRef,
            ItemOutput,
            user,
            effect="reads",
            path="user",
            aliases=("get_user",),
            example={"username": "python"},
        ),
    ),
    credentials=(GITHUB_TOKEN,),
)
