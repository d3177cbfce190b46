"""/ and /docs: what this is, and every route, as plain pages."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp import __version__
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, prose
from codewords_mcp.http.pages.sign_in import signed_in_as, waiting_list
from codewords_mcp.http.routes.agreements import agreement_list
from codewords_mcp.http.state import PERSON, own_url, runtime
from codewords_mcp.runtime.model.caller import Caller

_TITLES = {"mcp": "MCP"}
_KEYS = {
    "open": "no key",
    "page": "a person's session",
    "run": "any key",
    "user": "user key",
    "admin": "admin key",
}


async def index(request: Request) -> Response:
    """Show the front page: the addresses of this runtime and, to a signed-in person, the pages that wait for them."""
    url = escape(own_url(request.scope))
    found: Caller | None = request.scope.get(PERSON)
    waits = agreed = after = ""

    if found is not None:
        waits = waiting_list(await runtime(request.scope).sessions.waiting_pages(found))
        agreed = agreement_list(await runtime(request.scope).consents.list_agreements(found))
        after = signed_in_as(found)

    return page(
        "codewords-mcp runtime",
        f"<h1>codewords-mcp runtime {escape(__version__)}</h1>"
        "<p>It turns Python files into deployed, isolated HTTP services. Unofficial, compatible with CodeWords scripts"
        f" and clients.</p>{waits}<h2>Addresses</h2><table>"
        f"<tr><th>Chat hosts</th><td><code>{url}/mcp</code> (MCP over streamable HTTP)</td></tr>"
        f"<tr><th>Programs</th><td><code>POST {url}/run/&lt;service_id&gt;/</code></td></tr>"
        '<tr><th>Every route</th><td><a href="/docs">/docs</a>, <a href="/openapi.json">/openapi.json</a></td></tr>'
        f"<tr><th>Its state</th><td><code>codewords doctor</code></td></tr></table>{agreed}{after}",
    )


async def docs(request: Request, *, operations: Sequence[HttpOperation]) -> Response:
    """Every route in one table a tag."""
    ordered = sorted(operations, key=_tag)
    sections = "".join(
        f"<h2>{escape(_TITLES.get(tag, tag.title()))}</h2><table>{''.join(map(_row, group))}</table>"
        # groupby needs its input sorted by the same key.
        for tag, group in groupby(ordered, key=_tag)
    )
    return page(
        "API",
        f"<h1>API of {escape(own_url(request.scope))}</h1><p>The key goes into <code>Authorization: Bearer</code> or"
        f' <code>X-API-Key</code>. For tools: <a href="/openapi.json">/openapi.json</a>.</p>{sections}',
        wide=True,
    )


def page_operations(table: Sequence[HttpOperation]) -> list[HttpOperation]:
    """The two pages over a table."""
    return [
        HttpOperation("GET", "/", "What this is", index, tag="runtime", media="text/html"),
        HttpOperation(
            "GET", "/docs", "These routes as a page", partial(docs, operations=table), tag="runtime",
            media="text/html",
        ),
    ]  # fmt: skip


def _tag(operation: HttpOperation) -> str:
    return operation.tag


def _row(operation: HttpOperation) -> str:
    if operation.method == "*":
        method = "ANY"
    else:
        method = operation.method

    taken = [parameter.name for parameter in operation.parameters]
    if taken:
        names = f'<br><span class="dim">Takes {escape(", ".join(taken))}.</span>'
    else:
        names = ""

    if operation.description:
        more = f'<br><span class="dim">{prose(operation.description)}</span>'
    else:
        more = ""

    return (
        f"<tr><th><code>{method} {escape(operation.path)}</code></th>"
        f'<td>{escape(operation.summary)} <span class="dim">({_KEYS[operation.rule.level]})</span>{more}{names}</td></tr>'
    )
