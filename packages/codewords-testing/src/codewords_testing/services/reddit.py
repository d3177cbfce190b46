"""Reddit's two hosts: tokens at `/reddit/api/v1/access_token`, the API under `/reddit-api`. 60 posts in each subreddit."""

from __future__ import annotations

import base64
import itertools
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "reddit-id", "reddit-secret-of-the-tests"
POSTS = 60
_counter = itertools.count(1)
_valid: set[str] = set()


def revoke() -> None:
    """Revoke all tokens."""
    _valid.clear()


async def token(request: Request) -> JSONResponse:
    """Client credentials by Basic; a client that does not name itself is turned away."""
    credentials = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
    form = await request.form()
    # Reddit limits clients that do not name themselves so strictly that they get nothing.
    if "codewords-mcp" not in request.headers.get("User-Agent", ""):
        return JSONResponse({"message": "Too Many Requests", "error": 429}, status_code=429)
    if request.headers.get("Authorization") != f"Basic {credentials}":
        return JSONResponse({"message": "Unauthorized", "error": 401}, status_code=401)
    if form.get("grant_type") != "client_credentials":
        # Reddit answers 200 here.
        return JSONResponse({"error": "unsupported_grant_type"})

    text = f"token-{next(_counter)}"
    _valid.add(text)
    return JSONResponse({"access_token": text, "token_type": "bearer", "expires_in": 86400, "scope": "*"})


def _post(name: str, number: int) -> dict[str, Any]:
    return {
        "kind": "t3",
        "data": {"id": f"p{number}", "name": f"t3_p{number}", "title": f"Post {number} of {name}"},
    }


def _listing(children: list[Any], after: str | None = None) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"children": children, "after": after, "before": None}}


async def api(request: Request) -> JSONResponse:
    """Listings, searches, and one thread with answers three deep."""
    if request.headers.get("Authorization", "").removeprefix("Bearer ") not in _valid:
        return JSONResponse({"message": "Unauthorized", "error": 401}, status_code=401)

    parts = request.path_params["path"].split("/")
    if parts[0] == "comments":
        return JSONResponse(_thread(parts[1]))

    name = parts[1] if parts[0] == "r" else "all"
    if name == "nowhere":
        return JSONResponse({"message": "Not Found", "error": 404}, status_code=404)
    if name == "private":
        return JSONResponse({"reason": "private", "message": "Forbidden", "error": 403}, status_code=403)

    if "after" in request.query_params:
        begin = int(request.query_params["after"].removeprefix("t3_p")) + 1
    else:
        begin = 0

    end = min(begin + int(request.query_params["limit"]), POSTS)
    posts = [_post(request.query_params.get("q", name), number) for number in range(begin, end)]
    return JSONResponse(_listing(posts, f"t3_p{end - 1}" if end < POSTS else None))


def _thread(post: str) -> list[Any]:
    def comment(name: str, replies: Any = "") -> dict[str, Any]:
        return {"kind": "t1", "data": {"id": name, "body": f"Says {name}", "replies": replies}}

    more = {"kind": "more", "data": {"count": 7, "children": ["x"]}}
    deep = _listing([comment("a1", _listing([comment("a1a"), more])), comment("a2")])
    return [
        _listing([{"kind": "t3", "data": {"id": post, "title": "A post"}}]),
        _listing([comment("a", deep), comment("b")]),
    ]


def routes() -> list[Route]:
    """Routes of the service."""
    return [
        Route("/reddit/api/v1/access_token", token, methods=["POST"]),
        Route("/reddit-api/{path:path}", api),
    ]
