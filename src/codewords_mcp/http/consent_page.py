"""The page on which a person agrees to what a workflow may do, where the chat cannot ask."""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge, CodewordsError, InvalidInput, NotFound
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.house import ERROR_PAGE, runtime
from codewords_mcp.http.operations import Operation
from codewords_mcp.http.pages import page, prose
from codewords_mcp.http.secret_page import require_same_origin

_MAX_FORM = 1024


async def show(request: Request) -> Response:
    """What is asked, while it waits for an answer; looking does not answer it."""
    request.scope[ERROR_PAGE] = _sorry
    name, live, lines = await runtime(request.scope).peek_consent(_token(request))
    return _form(name, live, lines)


async def answer(request: Request) -> Response:
    """Take the answer, once."""
    request.scope[ERROR_PAGE] = _sorry
    require_same_origin(request)
    form = parse_qs((await read_bytes(request, _MAX_FORM, _too_large)).decode("ascii", "replace"))
    said = form.get("answer", [""])[0]
    if said not in {"agree", "decline"}:
        raise InvalidInput("The form did not arrive whole.", hint="Open the link again and choose.")
    title, _, lines = await runtime(request.scope).peek_consent(_token(request))
    await runtime(request.scope).answer_consent(_token(request), agreed=said == "agree")
    name, deletes = escape(title), _deletes(lines)
    if said == "agree":
        if deletes:
            return page(
                "Agreed",
                f'<h1 class="good">Agreed</h1><p><b>{name}</b> may be deleted.</p>'
                '<p class="last">Go back to your conversation: deleting again carries it out.</p>',
            )
        return page(
            "Agreed",
            f'<h1 class="good">Agreed</h1><p><b>{name}</b> can be deployed with exactly that.</p>'
            '<p class="last">Go back to your conversation: deploying again makes it live.</p>',
        )
    return page(
        "Declined",
        f'<h1 class="bad">Declined</h1><p><b>{name}</b> is not {"deleted" if deletes else "deployed"}.</p>'
        '<p class="last">You can close this page and go back to your conversation.</p>',
    )


def _deletes(lines: list[str]) -> bool:
    return lines[0].startswith("deletes ")


def _form(name: str, live: int | None, lines: list[str]) -> Response:
    if _deletes(lines):
        return _delete_form(name, lines[0][12:])
    items = "".join(
        f"<tr><th>{escape(line[:12].strip())}</th><td>{_items(line[12:])}</td></tr>" for line in lines
    )
    more = (
        "It asks for"
        if live is None
        else f"Version {live}, which is live now, may not do this. The new one asks for"
    )
    return page(
        f"May {name} do this?",
        f"<h1>May the workflow <code>{escape(name)}</code> do this?</h1><p>{more}:</p><table>{items}</table>"
        '<form method="post"><button name="answer" value="agree">Agree</button>'
        '<button class="quiet" name="answer" value="decline">Decline</button></form>'
        '<p class="dim last">Everything that is not agreed is refused while it runs. This link works once, for ten minutes.</p>',
    )


def _delete_form(name: str, what: str) -> Response:
    return page(
        f"Delete {name}?",
        f"<h1>Delete the workflow <code>{escape(name)}</code>?</h1><p>{escape(what.strip())}. Its runs stay on record.</p>"
        '<form method="post"><button name="answer" value="agree">Delete</button>'
        '<button class="quiet" name="answer" value="decline">Keep</button></form>'
        '<p class="dim last">This link works once, for ten minutes.</p>',
    )


def _items(text: str) -> str:
    return "<br>".join(escape(item) for item in text.strip().split(", "))


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the link again and choose.")


def _sorry(error: CodewordsError) -> Response:
    title = "This link no longer works" if isinstance(error, NotFound) else "The answer was not taken"
    hint = f'<p class="last">{prose(error.hint)}</p>' if error.hint else ""
    return page(
        title, f'<h1 class="bad">{title}</h1><p>{prose(error.message)}</p>{hint}', status=error.status
    )


def _token(request: Request) -> str:
    return str(request.path_params["token"])


OPERATIONS = [
    Operation(
        "GET", "/consents/{token}", "The page that asks whether a workflow may do what it asks for", show,
        access="open", media="text/html",
    ),
    Operation(
        "POST", "/consents/{token}", "Agree or decline", answer,
        access="open", media="text/html", body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {"answer": {"type": "string", "enum": ["agree", "decline"]}}},
    ),
]  # fmt: skip
