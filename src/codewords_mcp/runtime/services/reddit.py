"""`reddit`: posts of a subreddit, searches, and a post with its comments, by Reddit's API for scripts."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import AliasChoices, Field

from codewords_mcp import __version__
from codewords_mcp.errors import NotFound, TooBusy, UpstreamFailed
from codewords_mcp.runtime.services.base import (
    Input,
    Operation,
    Output,
    Service,
    ServiceContext,
    ServiceCredential,
)
from codewords_mcp.runtime.web.responses import WebResponse, retry_after

_HOW = "Make an app of the kind `script` at https://www.reddit.com/prefs/apps; it shows both its id and its secret."
REDDIT_CLIENT_ID = ServiceCredential("REDDIT_CLIENT_ID", _HOW)
REDDIT_CLIENT_SECRET = ServiceCredential("REDDIT_CLIENT_SECRET", _HOW)
USER_AGENT = f"python:codewords-mcp:{__version__} (by /u/codewords-mcp)"
"""Reddit refuses clients that don't identify themselves in this form."""
_SUBREDDIT = r"^(?:r/)?[A-Za-z0-9_]{2,50}(?:\+[A-Za-z0-9_]{2,50}){0,20}$"
# Seconds before its expiry at which a token is no longer used.
_TOKEN_MARGIN = 60.0
_MAX_CACHED_TOKENS = 256
TimeFilter = Literal["hour", "day", "week", "month", "year", "all"]


class PageInput(Input):
    """`after` is the `after` of the page before."""

    limit: int = Field(
        default=25,
        ge=1,
        le=100,
        validation_alias=AliasChoices("limit", "num_results"),
        description="A page's length.",
    )
    after: str | None = Field(default=None, pattern=r"^t[1-6]_[a-z0-9]{1,20}$")
    time: TimeFilter | None = Field(
        default=None,
        validation_alias=AliasChoices("time", "time_filter", "t"),
        description="For `top` and searches.",
    )


class PostsInput(PageInput):
    """The posts of a subreddit, or of several joined by `+`."""

    subreddit: str = Field(pattern=_SUBREDDIT)
    sort: Literal["hot", "new", "top", "rising", "controversial"] = "hot"


class RedditSearch(PageInput):
    """A search in all of Reddit, or in one subreddit."""

    query: str = Field(min_length=1, max_length=512, validation_alias=AliasChoices("query", "q"))
    subreddit: str | None = Field(default=None, pattern=_SUBREDDIT)
    sort: Literal["relevance", "hot", "top", "new", "comments"] = "relevance"


class CommentsInput(Input):
    """A post by its id, with or without `t3_`."""

    post_id: str = Field(
        pattern=r"^(?:t3_)?[a-z0-9]{1,20}$", validation_alias=AliasChoices("post_id", "id", "article")
    )
    sort: Literal["confidence", "top", "new", "controversial", "old", "qa"] = "confidence"
    limit: int = Field(default=100, ge=1, le=500)
    depth: int | None = Field(default=None, ge=1, le=10)


class PostList(Output):
    """`posts` as Reddit returns them; `after` is null at the end."""

    success: bool
    posts: list[dict[str, Any]]
    after: str | None


class Thread(Output):
    """The post and its comments in reading order, each with its `depth` from 0.

    `more` is the number of comments left out.
    """

    success: bool
    post: dict[str, Any]
    comments: list[dict[str, Any]]
    more: int


async def posts(context: ServiceContext, params: PostsInput) -> PostList:
    """List posts. Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    response = await _request(
        context, f"/r/{params.subreddit.removeprefix('r/')}/{params.sort}", _paging(params)
    )
    return _to_post_list(response)


async def search(context: ServiceContext, params: RedditSearch) -> PostList:
    """Search posts. Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    # Posts alone: Reddit would add subreddits and people.
    query = _paging(params) | {"q": params.query, "sort": params.sort, "type": "link"}
    if params.subreddit is None:
        return _to_post_list(await _request(context, "/search", query))
    path = f"/r/{params.subreddit.removeprefix('r/')}/search"
    return _to_post_list(await _request(context, path, query | {"restrict_sr": "1"}))


async def comments(context: ServiceContext, params: CommentsInput) -> Thread:
    """Return a post with its comments. Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    query = {"limit": str(params.limit), "sort": params.sort}
    query |= {"depth": str(params.depth)} if params.depth else {}
    response = await _request(context, f"/comments/{params.post_id.removeprefix('t3_')}", query)

    try:
        # One listing has the post, the other its comments.
        post, thread = response.json()
        found = post["data"]["children"][0]["data"]
        listed, more = _flatten(thread["data"]["children"])
    except (LookupError, TypeError, ValueError):
        raise _unexpected_shape(response) from None

    return Thread(success=True, post=found, comments=listed, more=more)


def _flatten(children: list[Any]) -> tuple[list[dict[str, Any]], int]:
    """Return (comments, each before its answers; number that Reddit left out)."""
    listed: list[dict[str, Any]] = []
    # A stack instead of recursion: a hostile thread could be nested deeper than Python's limit.
    more, waiting = 0, [(child, 0) for child in reversed(children)]

    while waiting:
        child, depth = waiting.pop()
        data = dict(child["data"])
        if child["kind"] == "more":
            more += int(data.get("count") or 0)
            continue

        replies = data.pop("replies", None)
        listed.append(data | {"depth": depth})
        # No replies are an empty text.
        if isinstance(replies, dict):
            answers = cast("dict[str, Any]", replies)["data"]["children"]
            # A stack gives back its last entry first.
            waiting += [(answer, depth + 1) for answer in reversed(answers)]

    return listed, more


def _paging(params: PageInput) -> dict[str, str]:
    query = {"limit": str(params.limit), "after": params.after, "t": params.time}
    return {name: value for name, value in query.items() if value}


def _to_post_list(response: WebResponse) -> PostList:
    try:
        data = response.json()["data"]
        return PostList(
            success=True, posts=[child["data"] for child in data["children"]], after=data.get("after")
        )
    except (LookupError, TypeError, ValueError):
        raise _unexpected_shape(response) from None


def _unexpected_shape(response: WebResponse) -> UpstreamFailed:
    return UpstreamFailed("Reddit's response has an unexpected format.", upstream_status=response.status)


@dataclass(frozen=True, slots=True)
class _RedditToken:
    text: str
    until: float
    """On the monotonic clock."""


# Tokens by (address, client id, client secret).
_tokens: dict[tuple[str, str, str], _RedditToken] = {}


async def _request(context: ServiceContext, path: str, query: dict[str, str]) -> WebResponse:
    credentials = (
        context.settings.reddit_base_url,
        await context.need("reddit", REDDIT_CLIENT_ID),
        await context.need("reddit", REDDIT_CLIENT_SECRET),
    )
    for may_retry in (True, False):
        token = _tokens.get(credentials)
        if token is None or token.until <= time.monotonic():
            token = _tokens[credentials] = await _new_token(context, credentials)
            # Callers bring credentials of their own, so the cache must be bounded; the oldest goes
            # first.
            while len(_tokens) > _MAX_CACHED_TOKENS:
                del _tokens[next(iter(_tokens))]

        response = await context.web.api(
            context.settings.reddit_api_base_url,
            path,
            # Else Reddit escapes <, > and & in texts.
            params=query | {"raw_json": "1"},
            headers={"Authorization": f"Bearer {token.text}", "User-Agent": USER_AGENT},
        )
        if response.status != 401 or not may_retry:
            break

        # Reddit revoked the token before its expiry.
        _tokens.pop(credentials, None)

    return _checked(response)  # pyright: ignore[reportPossiblyUnboundVariable]  # the loop runs


async def _new_token(context: ServiceContext, credentials: tuple[str, str, str]) -> _RedditToken:
    base, client, secret = credentials
    basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
    response = await context.web.api(
        base,
        "/api/v1/access_token",
        method="POST",
        form={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {basic}", "User-Agent": USER_AGENT},
    )
    if response.status in {400, 401, 403}:
        raise UpstreamFailed(
            f"Reddit refused {REDDIT_CLIENT_ID.name} and {REDDIT_CLIENT_SECRET.name}.",
            upstream_status=response.status,
            hint=_HOW,
        )

    try:
        body = _checked(response).json()
        return _RedditToken(
            str(body["access_token"]), time.monotonic() + float(body["expires_in"]) - _TOKEN_MARGIN
        )
    except (LookupError, TypeError, ValueError):
        raise _unexpected_shape(response) from None


def _checked(response: WebResponse) -> WebResponse:
    # Reddit writes the number with decimals, such as 0.0.
    used_up = response.headers.get("x-ratelimit-remaining", "1").partition(".")[0] == "0"
    if response.status == 429 or (response.status == 403 and used_up):
        reset = response.headers.get("x-ratelimit-reset", "")
        # isdigit alone takes digits of other scripts.
        if reset.isascii() and reset.isdigit():
            wait = min(int(reset), 3600)
        else:
            wait = 60

        raise TooBusy("Reddit's rate limit is reached.", retry_after=retry_after(response, max(1, wait)))

    if response.status == 404:
        raise NotFound("Reddit has nothing of this name.")
    if response.status >= 400:
        if response.status == 403:
            hint = "The subreddit may be private, quarantined or banned."
        else:
            hint = "Try again later."

        raise UpstreamFailed(
            f"Reddit answered {response.status}.", upstream_status=response.status, hint=hint
        )

    return response


SERVICE = Service(
    name="reddit",
    title="Reddit",
    summary="Posts of subreddits, searches, and posts with their comments, by Reddit's own API.",
    operations=(
        Operation(
            "List the posts of a subreddit",
            PostsInput,
            PostList,
            posts,
            effect="reads",
            path="posts",
            aliases=("get_posts", "subreddit"),
            example={"subreddit": "python", "sort": "top", "time": "week"},
        ),
        Operation(
            "Search posts",
            RedditSearch,
            PostList,
            search,
            effect="reads",
            path="search",
            aliases=("search_posts",),
            example={"query": "sandbox", "subreddit": "python"},
        ),
        Operation(
            "Read a post with its comments",
            CommentsInput,
            Thread,
            comments,
            effect="reads",
            path="comments",
            aliases=("get_comments",),
            example={"post_id": "1abcde"},
        ),
    ),
    credentials=(REDDIT_CLIENT_ID, REDDIT_CLIENT_SECRET),
)
