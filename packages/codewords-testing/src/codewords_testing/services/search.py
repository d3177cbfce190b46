"""SearchApi (`/searchapi/search`) and SearXNG (`/searxng/search`): a hundred results of whatever is asked."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "searchapi-key-of-the-tests"


async def searchapi(request: Request) -> JSONResponse:
    """Engines give their lists under their own names; an unknown engine is a 400, a wrong key a 401."""
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return JSONResponse({"error": "Invalid API Key."}, status_code=401)

    engine, query = request.query_params.get("engine", "google"), request.query_params.get("q", "")
    if engine not in {"google", "bing", "youtube", "google_news"}:
        return JSONResponse({"error": f"Unsupported value: {engine} for parameter: engine"}, status_code=400)

    page, size = int(request.query_params.get("page", "1")), int(request.query_params.get("num", "10"))
    rows = [
        {"position": n + 1, "title": f"{query} {n}", "link": f"https://site{n}.example/", "snippet": f"About {query}."}
        for n in range((page - 1) * size, min(page * size, 100))
    ]  # fmt: skip
    parameters = {"engine": engine, "q": query} | {
        n: v for n, v in request.query_params.items() if n in {"gl", "hl", "location"}
    }
    answer = {"search_metadata": {"status": "Success"}, "search_parameters": parameters}

    return JSONResponse(answer | {"videos" if engine == "youtube" else "organic_results": rows})


async def searxng(request: Request) -> Response:
    """JSON only where it was asked for, as its settings have it."""
    if request.query_params.get("format") != "json":
        return Response("<html>results</html>", media_type="text/html")

    query, kind = request.query_params["q"], request.query_params.get("categories", "general")
    rows = [
        {
            "url": f"https://{kind}{n}.example/",
            "title": f"{query} {n}",
            "content": "Text.",
            "engine": "mojeek",
        }
        for n in range(30)
    ]
    return JSONResponse(
        {"query": query, "number_of_results": 0, "results": rows, "suggestions": [f"{query} more"]}
    )


def routes() -> list[Route]:
    """Routes of the services."""
    return [Route("/searchapi/search", searchapi), Route("/searxng/search", searxng)]
