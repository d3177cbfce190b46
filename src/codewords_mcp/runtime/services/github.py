"""`github`: search for people, repositories, code and issues; a repository, its readme, a user."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, cast
from urllib.parse import quote

from pydantic import AliasChoices, Field

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
from codewords_mcp.runtime.web.client import WebResponse, retry_after, said

GITHUB_TOKEN = ServiceCredential(
    "GITHUB_TOKEN",
    "Make a token without any scope at https://github.com/settings/tokens.",
    without="GitHub allows 60 calls an hour and no search of code.",
)
MAX_FOUND = 1000
"""GitHub gives no more of one search."""
_NAME = r"^[A-Za-z0-9_.-]{1,100}$"
_LAST_PAGE = re.compile(r'<([^>]*)>;\s*rel="next"')


class GithubSearch(Input):
    """GitHub's own query language; `page` counts from 1."""

    query: str = Field(min_length=1, max_length=256, validation_alias=AliasChoices("query", "q"))
    limit: int = Field(
        default=30,
        ge=1,
        le=100,
        validation_alias=AliasChoices("limit", "per_page", "num_results"),
        description="A page's length.",
    )
    page: int = Field(default=1, ge=1, le=MAX_FOUND)
    sort: str | None = Field(default=None, pattern=r"^[a-z-]{1,30}$")
    order: str | None = Field(default=None, pattern=r"^(asc|desc)$")


class SearchResults(Output):
    """`items` as GitHub gives them; `next_page` is null at the end, which comes after 1000 at the latest."""

    success: bool
    total_count: int
    incomplete: bool = Field(description="GitHub gave up before it had looked everywhere.")
    items: list[dict[str, Any]]
    next_page: int | None


class RepositoryRef(Input):
    """A repository."""

    owner: str = Field(pattern=_NAME)
    repo: str = Field(pattern=_NAME)


class UserRef(Input):
    """A user or an organisation."""

    username: str = Field(pattern=_NAME, validation_alias=AliasChoices("username", "user", "login"))


class ItemOutput(Output):
    """`item` as GitHub gives it."""

    success: bool
    item: dict[str, Any]


class Readme(Output):
    """The text, in the markup that it is written in."""

    success: bool
    name: str
    content: str
    url: str


def _search(kind: str) -> Any:
    async def call(context: ServiceContext, asked: GithubSearch) -> SearchResults:
        """Raises TooBusy, UpstreamFailed; MissingCredential for code without a token."""
        if kind == "code":
            await context.need("github", _NEEDED)
        params = {"q": asked.query, "per_page": str(asked.limit), "page": str(asked.page)}
        params |= {name: value for name in ("sort", "order") if (value := getattr(asked, name))}
        reply = await _ask(context, f"/search/{kind}", params)
        told = _object(reply)
        more = _LAST_PAGE.search(reply.headers.get("link", "")) is not None
        items = told.get("items")

        return SearchResults(
            success=True,
            total_count=int(told.get("total_count") or 0),
            incomplete=bool(told.get("incomplete_results")),
            items=cast("list[dict[str, Any]]", items) if isinstance(items, list) else [],
            next_page=asked.page + 1 if more and asked.page * asked.limit < MAX_FOUND else None,
        )

    return call


async def repository(context: ServiceContext, asked: RepositoryRef) -> ItemOutput:
    """Raises NotFound, TooBusy, UpstreamFailed."""
    return ItemOutput(
        success=True, item=_object(await _ask(context, _path("repos", asked.owner, asked.repo)))
    )


async def user(context: ServiceContext, asked: UserRef) -> ItemOutput:
    """Raises NotFound, TooBusy, UpstreamFailed."""
    return ItemOutput(success=True, item=_object(await _ask(context, _path("users", asked.username))))


async def readme(context: ServiceContext, asked: RepositoryRef) -> Readme:
    """Raises NotFound, TooBusy, UpstreamFailed."""
    told = _object(await _ask(context, f"{_path('repos', asked.owner, asked.repo)}/readme"))
    try:
        content = base64.b64decode(told["content"]).decode(errors="replace")
        return Readme(
            success=True, name=str(told["name"]), content=content, url=str(told.get("html_url") or "")
        )
    except (KeyError, TypeError, binascii.Error):
        raise UpstreamFailed("GitHub gave a readme that cannot be read.") from None


def _object(reply: WebResponse) -> dict[str, Any]:
    found = reply.json()
    if not isinstance(found, dict):
        raise UpstreamFailed(
            "GitHub answered in a shape that it should not have.", upstream_status=reply.status
        )
    return cast("dict[str, Any]", found)


def _path(*parts: str) -> str:
    # "." and ".." are names to the pattern, and ways elsewhere to a path
    if any(set(part) == {"."} for part in parts):
        raise NotFound("GitHub has no such name.")
    return "/" + "/".join(quote(part, safe="") for part in parts)


_NEEDED = ServiceCredential(
    GITHUB_TOKEN.name, "GitHub searches code for those with a token only. " + GITHUB_TOKEN.how
)


async def _ask(context: ServiceContext, path: str, params: dict[str, str] | None = None) -> WebResponse:
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    if token := await context.secret(GITHUB_TOKEN):
        headers["Authorization"] = f"Bearer {token}"
    reply = await context.web.api(context.settings.github_base_url, path, params=params, headers=headers)
    if reply.status < 400:
        return reply
    if reply.status == 404:
        raise NotFound(
            "GitHub has nothing of this name, or shows it to nobody without a right.", hint=GITHUB_TOKEN.how
        )
    if _is_limit(reply):
        raise TooBusy(
            "GitHub takes no more calls for now.",
            retry_after=_wait(reply),
            hint="Wait so long." if token else f"Wait so long, or set GITHUB_TOKEN: {GITHUB_TOKEN.how}",
        )

    raise UpstreamFailed(
        f"GitHub answered {reply.status}.",
        upstream_status=reply.status,
        upstream_said=said(reply, "message"),
        hint={401: "GITHUB_TOKEN is not valid any more.", 422: "Check the query."}.get(reply.status, ""),
    )


def _is_limit(reply: WebResponse) -> bool:
    """The hourly limit has no calls left; the secondary one says when to come back, or says so in words alone."""
    if reply.status not in {403, 429}:
        return False
    headers = reply.headers
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    return reply.status == 429 or spent or "rate limit" in said(reply, "message").lower()


def _wait(reply: WebResponse) -> int:
    if "retry-after" not in reply.headers and reply.headers.get("x-ratelimit-remaining") == "0":
        reset = reply.headers.get("x-ratelimit-reset", "")
        if reset.isascii() and reset.isdigit():
            return max(1, min(int(reset[:12]) - now() // 1_000_000, 3600))
    return retry_after(reply, 60)


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
