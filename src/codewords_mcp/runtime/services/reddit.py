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
from codewords_mcp.runtime.web.client import WebResponse, retry_after

_HOW = "Make an app of the kind `script` at https://www.reddit.com/prefs/apps; it shows both its id and its secret."
REDDIT_CLIENT_ID = ServiceCredential("REDDIT_CLIENT_ID", _HOW)
REDDIT_CLIENT_SECRET = ServiceCredential("REDDIT_CLIENT_SECRET", _HOW)
USER_AGENT = f"python:codewords-mcp:{__version__} (by /u/codewords-mcp)"
"""Reddit refuses clients that do not name themselves in this form."""
_SUBREDDIT = r"^(?:r/)?[A-Za-z0-9_]{2,50}(?:\+[A-Za-z0-9_]{2,50}){0,20}$"
_EARLY = 60.0
"""Seconds before its end at which a token is not used any more."""
_TOKENS_KEPT = 256
Time = Literal["hour", "day", "week", "month", "year", "all"]


class PageInput(Input):
    """`after` is a page's `after`, for the next one."""

    limit: int = Field(
        default=25,
        ge=1,
        le=100,
        validation_alias=AliasChoices("limit", "num_results"),
        description="A page's length.",
    )
    after: str | None = Field(default=None, pattern=r"^t[1-6]_[a-z0-9]{1,20}$")
    time: Time | None = Field(
        default=None,
        validation_alias=AliasChoices("time", "time_filter", "t"),
        description="For `top` and searches.",
    )


class Posts(PageInput):
    """Several subreddits are joined by `+`."""

    subreddit: str = Field(pattern=_SUBREDDIT)
    sort: Literal["hot", "new", "top", "rising", "controversial"] = "hot"


class RedditSearch(PageInput):
    """In all of Reddit, or in one subreddit."""

    query: str = Field(min_length=1, max_length=512, validation_alias=AliasChoices("query", "q"))
    subreddit: str | None = Field(default=None, pattern=_SUBREDDIT)
    sort: Literal["relevance", "hot", "top", "new", "comments"] = "relevance"


class Comments(Input):
    """A post by its id, with or without `t3_`."""

    post_id: str = Field(
        pattern=r"^(?:t3_)?[a-z0-9]{1,20}$", validation_alias=AliasChoices("post_id", "id", "article")
    )
    sort: Literal["confidence", "top", "new", "controversial", "old", "qa"] = "confidence"
    limit: int = Field(default=100, ge=1, le=500)
    depth: int | None = Field(default=None, ge=1, le=10)


class PostList(Output):
    """`posts` as Reddit gives them; `after` is null at the end."""

    success: bool
    posts: list[dict[str, Any]]
    after: str | None


class Thread(Output):
    """The post, and its comments in the order of a reader: each with its `depth`, from 0. `more`: how many are left out."""

    success: bool
    post: dict[str, Any]
    comments: list[dict[str, Any]]
    more: int


async def posts(context: ServiceContext, asked: Posts) -> PostList:
    """Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    reply = await _ask(context, f"/r/{asked.subreddit.removeprefix('r/')}/{asked.sort}", _paging(asked))
    return _listed(reply)


async def search(context: ServiceContext, asked: RedditSearch) -> PostList:
    """Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    params = _paging(asked) | {"q": asked.query, "sort": asked.sort, "type": "link"}
    if asked.subreddit is None:
        return _listed(await _ask(context, "/search", params))
    path = f"/r/{asked.subreddit.removeprefix('r/')}/search"
    return _listed(await _ask(context, path, params | {"restrict_sr": "1"}))


async def comments(context: ServiceContext, asked: Comments) -> Thread:
    """Raises MissingCredential, NotFound, TooBusy, UpstreamFailed."""
    params = {"limit": str(asked.limit), "sort": asked.sort}
    params |= {"depth": str(asked.depth)} if asked.depth else {}
    reply = await _ask(context, f"/comments/{asked.post_id.removeprefix('t3_')}", params)

    try:
        post, thread = reply.json()
        found = post["data"]["children"][0]["data"]
        listed, more = _flat(thread["data"]["children"])
    except (LookupError, TypeError, ValueError):
        raise _shapeless(reply) from None

    return Thread(success=True, post=found, comments=listed, more=more)


def _flat(children: list[Any]) -> tuple[list[dict[str, Any]], int]:
    """(comments, each before its answers, how many Reddit left out)."""
    listed: list[dict[str, Any]] = []
    more, waiting = 0, [(child, 0) for child in reversed(children)]

    while waiting:
        child, depth = waiting.pop()
        data = dict(child["data"])
        if child["kind"] == "more":
            more += int(data.get("count") or 0)
            continue

        replies = data.pop("replies", None)
        listed.append(data | {"depth": depth})
        if isinstance(replies, dict):
            below = cast("dict[str, Any]", replies)["data"]["children"]
            waiting += [(one, depth + 1) for one in reversed(below)]

    return listed, more


def _paging(asked: PageInput) -> dict[str, str]:
    params = {"limit": str(asked.limit), "after": asked.after, "t": asked.time}
    return {name: value for name, value in params.items() if value}


def _listed(reply: WebResponse) -> PostList:
    try:
        data = reply.json()["data"]
        return PostList(
            success=True, posts=[one["data"] for one in data["children"]], after=data.get("after")
        )
    except (LookupError, TypeError, ValueError):
        raise _shapeless(reply) from None


def _shapeless(reply: WebResponse) -> UpstreamFailed:
    return UpstreamFailed("Reddit answered in a shape that it should not have.", upstream_status=reply.status)


@dataclass(frozen=True, slots=True)
class _RedditToken:
    text: str
    until: float
    """By the monotonic clock."""


_tokens: dict[tuple[str, str, str], _RedditToken] = {}
"""By where it was had, and with whose id and secret."""


async def _ask(context: ServiceContext, path: str, params: dict[str, str]) -> WebResponse:
    who = (
        context.settings.reddit_base_url,
        await context.need("reddit", REDDIT_CLIENT_ID),
        await context.need("reddit", REDDIT_CLIENT_SECRET),
    )
    for again in (True, False):
        token = _tokens.get(who)
        if token is None or token.until <= time.monotonic():
            token = _tokens[who] = await _new_token(context, who)
            while len(_tokens) > _TOKENS_KEPT:
                del _tokens[next(iter(_tokens))]

        reply = await context.web.api(
            context.settings.reddit_api_base_url,
            path,
            params=params | {"raw_json": "1"},
            headers={"Authorization": f"Bearer {token.text}", "User-Agent": USER_AGENT},
        )
        if reply.status != 401 or not again:
            break

        _tokens.pop(who, None)  # it was revoked before its time

    return _checked(reply)  # pyright: ignore[reportPossiblyUnboundVariable]  # the loop runs


async def _new_token(context: ServiceContext, who: tuple[str, str, str]) -> _RedditToken:
    base, client, secret = who
    basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
    reply = await context.web.api(
        base,
        "/api/v1/access_token",
        method="POST",
        form={"grant_type": "client_credentials"},
        headers={"Authorization": f"Basic {basic}", "User-Agent": USER_AGENT},
    )
    if reply.status in {400, 401, 403}:
        raise UpstreamFailed(
            f"Reddit does not take {REDDIT_CLIENT_ID.name} and {REDDIT_CLIENT_SECRET.name}.",
            upstream_status=reply.status,
            hint=_HOW,
        )

    try:
        told = _checked(reply).json()
        return _RedditToken(str(told["access_token"]), time.monotonic() + float(told["expires_in"]) - _EARLY)
    except (LookupError, TypeError, ValueError):
        raise _shapeless(reply) from None


def _checked(reply: WebResponse) -> WebResponse:
    spent = reply.headers.get("x-ratelimit-remaining", "1").partition(".")[0] == "0"
    if reply.status == 429 or (reply.status == 403 and spent):
        reset = reply.headers.get("x-ratelimit-reset", "")
        if reset.isascii() and reset.isdigit():
            wait = min(int(reset), 3600)
        else:
            wait = 60

        raise TooBusy("Reddit takes no more calls for now.", retry_after=retry_after(reply, max(1, wait)))

    if reply.status == 404:
        raise NotFound("Reddit has nothing of this name.")
    if reply.status >= 400:
        if reply.status == 403:
            hint = "It may be private, in quarantine or banned."
        else:
            hint = "Try again later."

        raise UpstreamFailed(f"Reddit answered {reply.status}.", upstream_status=reply.status, hint=hint)

    return reply


SERVICE = Service(
    name="reddit",
    title="Reddit",
    summary="Posts of subreddits, searches, and posts with their comments, by Reddit's own API.",
    operations=(
        Operation(
            "List the posts of a subreddit",
            Posts,
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
            Comments,
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
