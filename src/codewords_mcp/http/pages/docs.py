"""/docs: every route as a plain page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape
from itertools import groupby

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, prose
from codewords_mcp.http.state import own_url

_TITLES = {"mcp": "MCP"}
_KEYS = {
    "open": "no key",
    "page": "a person's session",
    "run": "any key",
    "user": "user key",
    "admin": "admin key",
    "owner": "owner's key",
}


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
        f' <code>X-API-Key</code>. For tools: <a href="/openapi.json">/openapi.json</a>,'
        f' <a href="/postman.json">/postman.json</a>.</p>{sections}',
        wide=True,
    )


def docs_operation(table: Sequence[HttpOperation]) -> HttpOperation:
    """The page over a table."""
    page_of_table = partial(docs, operations=table)
    return HttpOperation(
        "GET", "/docs", "These routes as a page", page_of_table, tag="runtime", media="text/html"
    )


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
