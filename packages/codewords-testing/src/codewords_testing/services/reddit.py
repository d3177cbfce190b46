"""Reddit's two hosts: tokens at `/reddit/api/v1/access_token`, the API under `/reddit-api`. 60 posts in each subreddit."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from aiohttp import web

CLIENT_ID, CLIENT_SECRET = "reddit-id", "reddit-secret-of-the-tests"
POSTS = 60
_counter = itertools.count(1)
_valid: set[str] = set()


def revoke() -> None:
    """Revoke all tokens."""
    _valid.clear()


async def token(request: web.Request) -> web.Response:
    """Client credentials by Basic; a client that does not name itself is turned away."""
    credentials = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    form = await request.post()
    if "codewords-mcp" not in request.headers.get("User-Agent", ""):
        return web.json_response({"message": "Too Many Requests", "error": 429}, status=429)
    if request.headers.get("Authorization") != f"Basic {credentials}":
        return web.json_response({"message": "Unauthorized", "error": 401}, status=401)
    if form.get("grant_type") != "client_credentials":
        return web.json_response({"error": "unsupported_grant_type"})

    text = f"token-{next(_counter)}"
    _valid.add(text)
    return web.json_response(
        {"access_token": text, "token_type": "bearer", "expires_in": 86400, "scope": "*"}
    )


def _post(name: str, number: int) -> dict[str, Any]:
    return {
        "kind": "t3",
        "data": {"id": f"p{number}", "name": f"t3_p{number}", "title": f"Post {number} of {name}"},
    }


def _listing(children: list[Any], after: str | None = None) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"children": children, "after": after, "before": None}}


async def api(request: web.Request) -> web.Response:
    """Listings, searches, and one thread with answers three deep."""
    if request.headers.get("Authorization", "").removeprefix("Bearer ") not in _valid:
        return web.json_response({"message": "Unauthorized", "error": 401}, status=401)

    parts = request.match_info["path"].split("/")
    if parts[0] == "comments":
        return web.json_response(_thread(parts[1]))

    name = parts[1] if parts[0] == "r" else "all"
    if name == "nowhere":
        return web.json_response({"message": "Not Found", "error": 404}, status=404)
    if name == "private":
        return web.json_response({"reason": "private", "message": "Forbidden", "error": 403}, status=403)

    if "after" in request.query:
        begin = int(request.query["after"].removeprefix("t3_p")) + 1
    else:
        begin = 0

    end = min(begin + int(request.query["limit"]), POSTS)
    posts = [_post(request.query.get("q", name), number) for number in range(begin, end)]
    return web.json_response(_listing(posts, f"t3_p{end - 1}" if end < POSTS else None))


def _thread(post: str) -> list[Any]:
    def comment(name: str, replies: Any = "") -> dict[str, Any]:
        return {"kind": "t1", "data": {"id": name, "body": f"Says {name}", "replies": replies}}

    more = {"kind": "more", "data": {"count": 7, "children": ["x"]}}
    deep = _listing([comment("a1", _listing([comment("a1a"), more])), comment("a2")])
    return [
        _listing([{"kind": "t3", "data": {"id": post, "title": "A post"}}]),
        _listing([comment("a", deep), comment("b")]),
    ]


def routes() -> list[web.RouteDef]:
    """Routes of the service."""
    return [web.post("/reddit/api/v1/access_token", token), web.get("/reddit-api/{path:.+}", api)]
