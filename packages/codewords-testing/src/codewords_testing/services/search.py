"""SearchApi (`/searchapi/search`) and SearXNG (`/searxng/search`): a hundred results of whatever is asked."""

from __future__ import annotations

from aiohttp import web

KEY = "searchapi-key-of-the-tests"


async def searchapi(request: web.Request) -> web.Response:
    """Engines give their lists under their own names; an unknown engine is a 400, a wrong key a 401."""
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return web.json_response({"error": "Invalid API Key."}, status=401)

    engine, query = request.query.get("engine", "google"), request.query.get("q", "")
    if engine not in {"google", "bing", "youtube", "google_news"}:
        return web.json_response({"error": f"Unsupported value: {engine} for parameter: engine"}, status=400)

    page, size = int(request.query.get("page", "1")), int(request.query.get("num", "10"))
    rows = [
        {"position": n + 1, "title": f"{query} {n}", "link": f"https://site{n}.example/", "snippet": f"About {query}."}
        for n in range((page - 1) * size, min(page * size, 100))
    ]  # fmt: skip
    parameters = {"engine": engine, "q": query} | {
        n: v for n, v in request.query.items() if n in {"gl", "hl", "location"}
    }
    answer = {"search_metadata": {"status": "Success"}, "search_parameters": parameters}

    return web.json_response(answer | {"videos" if engine == "youtube" else "organic_results": rows})


async def searxng(request: web.Request) -> web.Response:
    """JSON only where it was asked for, as its settings have it."""
    if request.query.get("format") != "json":
        return web.Response(text="<html>results</html>", content_type="text/html")

    query, kind = request.query["q"], request.query.get("categories", "general")
    rows = [
        {
            "url": f"https://{kind}{n}.example/",
            "title": f"{query} {n}",
            "content": "Text.",
            "engine": "mojeek",
        }
        for n in range(30)
    ]
    return web.json_response(
        {"query": query, "number_of_results": 0, "results": rows, "suggestions": [f"{query} more"]}
    )


def routes() -> list[web.RouteDef]:
    """Routes of the services."""
    return [web.get("/searchapi/search", searchapi), web.get("/searxng/search", searxng)]
