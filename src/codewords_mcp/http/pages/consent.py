"""The page on which a person agrees to what a workflow may do, or an assistant is about to do, where the chat cannot ask."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.common.counts import counted
from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.state import ERROR_PAGE, runtime
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.questions import OpenQuestion

_MAX_FORM = 1024
_FOLDED_FROM = 40
_TAGS = {"+": "ins", "-": "del"}
_sorry = sorry("The answer was not taken")


async def show(request: Request) -> Response:
    """Show a question while it waits for an answer. Showing does not answer it."""
    request.scope[ERROR_PAGE] = _sorry
    return _form(
        await runtime(request.scope).consents.peek(person(request.scope), _token(request)),
        person(request.scope),
    )


async def answer(request: Request) -> Response:
    """Take the answer, once."""
    request.scope[ERROR_PAGE] = _sorry
    form = parse_qs((await read_bytes(request, _MAX_FORM, _too_large)).decode("ascii", "replace"))
    choice = form.get("answer", [""])[0]
    if choice not in {"agree", "decline"}:
        raise InvalidInput("The form did not arrive whole.", hint="Open the link again and choose.")

    agreed = choice == "agree"
    then = await runtime(request.scope).consents.answer(person(request.scope), _token(request), agreed=agreed)
    title = "Agreed" if agreed else "Declined"

    return page(
        title,
        f'<h1 class="{"good" if agreed else "bad"}">{title}</h1><p>{escape(then)}</p>'
        '<p class="last">You can close this page. A conversation that asked for it goes on there.</p>',
    )


def _form(question: OpenQuestion, signed_in: Caller) -> Response:
    wording = question.wording
    items = "".join(
        f"<tr><th>{escape(kind)}</th><td>{_items(of_kind)}</td></tr>" for kind, of_kind in question.rows
    )
    if wording.asker:
        asker = f'<p class="dim">Asked by {escape(wording.asker)}.</p>'
    else:
        asker = ""

    return page(
        wording.title,
        f"<h1>{escape(wording.title)}</h1>{asker}<p>{escape(wording.about)}:</p><table>{items}</table>"
        f"{_difference(question.diff)}"
        '<form method="post"><button name="answer" value="agree">Agree</button>'
        '<button class="quiet" name="answer" value="decline">Decline</button></form>'
        '<p class="dim last">Nothing that is not agreed is done. This link works once, for ten minutes. You are signed in as '
        f"{escape(signed_in.owner)}.</p>",
    )


def _items(texts: list[str]) -> str:
    """Items with a line between them: one that is broken over several lines must not look like more than one."""
    if len(texts) == 1:
        return escape(texts[0])
    return f'<ul class="items">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>'


def _difference(diff: str) -> str:
    """The code's drawn difference, folded where it is long."""
    if not diff:
        return ""

    rows = diff.split("\n")
    # each is a block of its own, broken where it is long: nothing is out of sight, and no rest of a row looks like another
    marked = "".join(f"<{tag}>{escape(row)}</{tag}>" for row in rows for tag in [_TAGS.get(row[:1], "span")])
    if len(rows) <= _FOLDED_FROM:
        unfolded = " open"
    else:
        unfolded = ""

    # Of a new workflow all lines are new.
    subject = "The code" if diff.startswith("@@ -0,0 ") else "The code's difference"
    return (
        f"<details{unfolded}><summary>{subject} ({counted(len(rows), 'line')})</summary>"
        f'<pre class="diff">{marked}</pre></details>'
    )


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the link again and choose.")


def _token(request: Request) -> str:
    return str(request.path_params["token"])


OPERATIONS = [
    HttpOperation(
        "GET", "/consents/{token}", "The page that asks whether a workflow may do what it asks for", show,
        media="text/html",
    ),
    HttpOperation(
        "POST", "/consents/{token}", "Agree or decline", answer,
        media="text/html", body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {"answer": {"type": "string", "enum": ["agree", "decline"]}}},
    ),
]  # fmt: skip
