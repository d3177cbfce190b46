"""Hunter (`/hunter/…`): 25 addresses of each domain, its statuses 202 and 222, its errors as a list."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

KEY = "hunter-key-of-the-tests"
ADDRESSES = 25


def _refused(status: int, code: str, details: str) -> JSONResponse:
    return JSONResponse({"errors": [{"id": code, "code": status, "details": details}]}, status_code=status)


async def answer(request: Request) -> JSONResponse:
    """One call."""
    if request.headers.get("X-API-KEY") != KEY:
        return _refused(401, "authentication_failed", "No user found for the API key supplied")

    query = request.query_params
    domain = query.get("domain") or f"{query.get('company', '').lower()}.example"
    match request.path_params["call"]:
        case "domain-search":
            begin, size = int(query.get("offset", "0")), int(query.get("limit", "10"))
            emails = [
                {"value": f"p{n}@{domain}", "type": "personal"}
                for n in range(begin, min(begin + size, ADDRESSES))
            ]
            meta = {"results": ADDRESSES, "limit": size, "offset": begin}
            return _enveloped({"domain": domain, "pattern": "{first}", "emails": emails}, meta)
        case "email-finder":
            first = query.get("first_name") or query["full_name"].split()[0]
            return _enveloped({"email": f"{first.lower()}@{domain}", "score": 97}, {"params": dict(query)})
        case "email-verifier":
            return _verified(query["email"])
        case "email-count":
            return _enveloped({"total": ADDRESSES}, {"params": dict(query)})
        case "account":
            return _enveloped(
                {"plan_name": "Free", "requests": {"searches": {"used": 3, "available": 25}}}, {}
            )
        case _:
            return _refused(404, "not_found", "This route does not exist")


def _verified(email: str) -> JSONResponse:
    if email.startswith("slow@"):
        # Hunter's own: the check is not done yet.
        return JSONResponse({"data": {}}, status_code=202)
    if email.startswith("broken@"):
        # Hunter's own: the other mail server answered something unexpected.
        return JSONResponse({"errors": []}, status_code=222)
    return _enveloped({"email": email, "status": "valid", "score": 100}, {"params": {"email": email}})


def _enveloped(data: dict[str, Any], meta: dict[str, Any]) -> JSONResponse:
    return JSONResponse({"data": data, "meta": meta})


def routes() -> list[Route]:
    """Routes of the service."""
    return [Route("/hunter/{call}", answer)]
