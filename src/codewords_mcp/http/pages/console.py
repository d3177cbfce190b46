"""The console: the shell of its pages, and its files.

A workflow's answers come from the same origin, so scripts and styles are taken from the console's own folder only, and
whatever a workflow answers is sandboxed (`run_calls`).
"""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from codewords_mcp.console.assets import AS_WRITTEN, Assets
from codewords_mcp.errors import NotFound
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import HEADERS
from codewords_mcp.http.state import SELF, own_url

BASE = "/console/assets"
_FOR_EVER = "public, max-age=31536000, immutable"
_assets = Assets()


async def shell(request: Request) -> Response:
    """Show the console. Which page it is, its own script reads off the address."""
    as_written = AS_WRITTEN in request.query_params
    return HTMLResponse(
        _assets.shell(BASE, as_written=as_written),
        headers=HEADERS | {"Content-Security-Policy": _policy(request)},
    )


async def asset(request: Request) -> Response:
    """Read a file of the console. Raises NotFound, also for a file of another version."""
    made = _assets.get(str(request.path_params["digest"]), str(request.path_params["file"]))
    # Others may wait for the same.
    found = await asyncio.shield(asyncio.wrap_future(made))
    if found is None:
        raise NotFound("The console has no such file in this version.", hint="Load the page again.")

    headers = {
        "Cache-Control": _FOR_EVER,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            found.compressed, headers=headers | {"Content-Encoding": "gzip"}, media_type=found.media
        )

    return Response(found.body, headers=headers, media_type=found.media)


def _policy(request: Request) -> str:
    """The Content-Security-Policy of the shell.

    `'self'` would let a page load what a workflow answers as its script; a path does not.
    """
    # A proxy that ends TLS may not tell of it: the origin is then known from the settings.
    here = request.scope.get(SELF) or own_url(request.scope)
    own = f"{here}{BASE}/"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src 'self' data: blob:; connect-src 'self'; "
        f"frame-src {here}/console/answers/ blob:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    )


_TAG = "console"
OPERATIONS = [
    HttpOperation("GET", "/", "The console", shell, tag=_TAG, media="text/html"),
    HttpOperation("GET", "/console", "The same", shell, tag=_TAG, media="text/html"),
    # Before the pages, whose path would match it too.
    HttpOperation(
        "GET", "/console/assets/{digest}/{file}", "A file of the console", asset, tag=_TAG, media="*/*", deep=True
    ),
    HttpOperation("GET", "/console/{page}", "A page of the console", shell, tag=_TAG, media="text/html", deep=True),
]  # fmt: skip
