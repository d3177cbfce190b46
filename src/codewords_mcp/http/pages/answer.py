"""A run's answer as a page in the console's frame: with its own styles, without scripts, and out of reach of everything."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from codewords_mcp.errors import Forbidden, NotFound
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.state import caller, runtime

_HEADERS = {
    # The policy alone makes it harmless: no script, no form, no request but for what is in the page itself.
    "Content-Security-Policy": (
        "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "Cross-Origin-Resource-Policy": "same-origin",
}


async def show(request: Request) -> Response:
    """Show the answer of a run as a page. Raises NotFound, Forbidden outside of the console's frame."""
    # Alone in a tab it could look like the console, under the console's address.
    fetched = (request.headers.get("sec-fetch-dest"), request.headers.get("sec-fetch-site"))
    if fetched != ("iframe", "same-origin"):
        raise Forbidden(
            "An answer is shown as a page in the console only.", hint="Open the run in the console."
        )

    run = await runtime(request.scope).runs.get(caller(request.scope), str(request.path_params["run_id"]))
    if run.response_content is None:
        raise NotFound("This run has no answer that is text.", hint="GET /result/{run_id} has its record.")
    return HTMLResponse(run.response_content, headers=_HEADERS)


OPERATIONS = [
    HttpOperation(
        "GET", "/console/answers/{run_id}", "A run's answer as a page, in the console's frame", show, tag="console",
        media="text/html",
    ),
]  # fmt: skip
