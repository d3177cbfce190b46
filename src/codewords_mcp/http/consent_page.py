"""The page on which a person agrees to what a workflow may do, or an assistant is about to do, where the chat cannot ask."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.house import ERROR_PAGE, runtime
from codewords_mcp.http.operations import Operation
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.people import person
from codewords_mcp.runtime.questions import Rows, Wording

_MAX_FORM = 1024
_sorry = sorry("The answer was not taken")


async def show(request: Request) -> Response:
    """What is asked, while it waits for an answer; looking does not answer it."""
    request.scope[ERROR_PAGE] = _sorry
    wording, rows = await runtime(request.scope).peek_consent(person(request.scope), _token(request))
    return _form(wording, rows)


async def answer(request: Request) -> Response:
    """Take the answer, once."""
    request.scope[ERROR_PAGE] = _sorry
    form = parse_qs((await read_bytes(request, _MAX_FORM, _too_large)).decode("ascii", "replace"))
    said = form.get("answer", [""])[0]
    if said not in {"agree", "decline"}:
        raise InvalidInput("The form did not arrive whole.", hint="Open the link again and choose.")
    wording, _ = await runtime(request.scope).peek_consent(person(request.scope), _token(request))
    await runtime(request.scope).answer_consent(
        person(request.scope), _token(request), agreed=said == "agree"
    )
    agreed = said == "agree"
    title, then = ("Agreed", wording.agreed) if agreed else ("Declined", wording.declined)
    return page(
        title,
        f'<h1 class="{"good" if agreed else "bad"}">{title}</h1><p>{escape(then)}</p>'
        '<p class="last">You can close this page and go back to your conversation.</p>',
    )


def _form(wording: Wording, rows: Rows) -> Response:
    items = "".join(
        f"<tr><th>{escape(kind)}</th><td>{'<br>'.join(map(escape, of_kind))}</td></tr>"
        for kind, of_kind in rows
    )
    return page(
        wording.title,
        f"<h1>{escape(wording.title)}</h1><p>{escape(wording.about)}:</p><table>{items}</table>"
        '<form method="post"><button name="answer" value="agree">Agree</button>'
        '<button class="quiet" name="answer" value="decline">Decline</button></form>'
        '<p class="dim last">Nothing that is not agreed is done. This link works once, for ten minutes.</p>',
    )


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the link again and choose.")


def _token(request: Request) -> str:
    return str(request.path_params["token"])


OPERATIONS = [
    Operation(
        "GET", "/consents/{token}", "The page that asks whether a workflow may do what it asks for", show,
        media="text/html",
    ),
    Operation(
        "POST", "/consents/{token}", "Agree or decline", answer,
        media="text/html", body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {"answer": {"type": "string", "enum": ["agree", "decline"]}}},
    ),
]  # fmt: skip
