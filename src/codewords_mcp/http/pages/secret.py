"""The page on which a person types a secret's value, so that it never passes through a chat."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge, CodewordsError, InvalidInput
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.middleware.people import person
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, prose, sorry
from codewords_mcp.http.state import ERROR_PAGE, runtime
from codewords_mcp.runtime.model.secret import SecretForm, SecretInfo

MAX_FORM = 1 << 18
"""Bytes of the form; percent-encoding makes up to three of one."""
_SHOWN = 20
_sorry = sorry("The value was not stored")


async def show(request: Request) -> Response:
    """The form, while the link is good; looking does not spend it."""
    request.scope[ERROR_PAGE] = _sorry
    return _form(await runtime(request.scope).secrets.peek_link(person(request.scope), _nonce(request)))


async def store(request: Request) -> Response:
    """Store the value and spend the link. A value that cannot be stored gets the form again, with the reason."""
    request.scope[ERROR_PAGE] = _sorry
    form = await runtime(request.scope).secrets.peek_link(person(request.scope), _nonce(request))
    # From here on a wrong value shows the form again, with the reason and without the value.
    request.scope[ERROR_PAGE] = _form_again(form)
    fields = _fields(await read_bytes(request, MAX_FORM, _too_large))
    form = _as_left(form, fields)
    request.scope[ERROR_PAGE] = _form_again(form)
    stored = await runtime(request.scope).secrets.redeem_link(
        person(request.scope),
        _nonce(request),
        _value(fields),
        hosts=form.hosts if "hosts" in fields else None,
    )

    return page(
        f"{stored.name} is stored",
        f'<h1 class="good">{escape(stored.name)} is stored</h1>'
        f"<p>It is encrypted on this machine. {_held(stored)}</p>"
        '<p class="last">You can close this page. A conversation that asked for it goes on there.</p>',
    )


def _held(stored: SecretInfo) -> str:
    if stored.held == "plain":
        return "Workflows that declare it get it, and can read it, from their next run on."
    hosts = ", ".join(f"<code>{escape(host)}</code>" for host in stored.hosts)
    return (
        f"Workflows that declare it can use it from their next run on, at {hosts} only, and cannot read it."
    )


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        "The value is too large for this page.", hint="Use `codewords secrets set` in a terminal."
    )


def _fields(data: bytes) -> dict[str, list[str]]:
    try:
        # Blank values are kept: an empty list of hosts means something else than an absent one.
        return parse_qs(data.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=4)
    except ValueError:
        raise InvalidInput("The form did not arrive whole.", hint="Type the value again.") from None


def _as_left(form: SecretForm, fields: dict[str, list[str]]) -> SecretForm:
    """With the hosts as the person left them; ticking the box leaves none."""
    if "hosts" not in fields:
        return form
    typed = fields["hosts"][0].replace(",", " ").split()
    return form.model_copy(update={"hosts": [] if "plain" in fields else typed})


def _value(fields: dict[str, list[str]]) -> str:
    single, lines = fields.get("value", [""])[0], fields.get("lines", [""])[0].replace("\r\n", "\n")
    if single and lines:
        raise InvalidInput("Both fields hold a value.", hint="Use one of them.")
    if not single and not lines:
        raise InvalidInput("The value is empty.", hint="Type or paste it.")
    return single or lines


def _form(form: SecretForm, *, problem: str = "", status: int = 200) -> Response:
    if problem:
        alert = f'<p class="bad" role="alert">{prose(problem)}</p>'
    else:
        alert = ""

    name = escape(form.name)
    return page(
        f"Set {form.name}",
        f"<h1>Set the secret <code>{name}</code></h1>{_used_by(form.users)}{alert}"
        '<form method="post" autocomplete="off">'
        '<label for="value">Value</label>'
        '<input id="value" name="value" type="password" autocomplete="off" autocapitalize="none" autocorrect="off"'
        ' spellcheck="false" autofocus>'
        "<details><summary>The value has several lines</summary>"
        '<textarea name="lines" aria-label="Value of several lines" autocomplete="off" autocapitalize="none"'
        f' spellcheck="false"></textarea></details>{_where(form)}'
        "<button>Store</button></form>"
        '<p class="dim last">It goes to this runtime only, is kept encrypted and is not shown again: not here, not to'
        " the assistant. This link works once, for ten minutes.</p>",
        status=status,
    )


def _where(form: SecretForm) -> str:
    """The fields where a person decides which hosts get the value, or that workflows do."""
    return (
        '<label for="hosts">Hosts that get it</label>'
        '<textarea id="hosts" name="hosts" class="short" rows="2" placeholder="api.example.com" autocomplete="off"'
        f' autocapitalize="none" autocorrect="off" spellcheck="false">{escape(" ".join(form.hosts))}</textarea>'
        '<p class="dim">Workflows hold a placeholder, which becomes the value on its way to these hosts and nowhere else.'
        " Left empty, or ticked below, workflows get the value itself and can read it.</p>"
        '<label class="tick"><input type="checkbox" name="plain" value="yes">Workflows may read the value</label>'
    )


def _used_by(users: list[str]) -> str:
    if not users:
        return "<p>No deployed workflow uses it yet; one that declares it will.</p>"
    items = "".join(f"<li>{escape(user)}</li>" for user in users[:_SHOWN])
    if len(users) > _SHOWN:
        more = f"<li>and {len(users) - _SHOWN} more</li>"
    else:
        more = ""
    return f"<p>These workflows will use it:</p><ul>{items}{more}</ul>"


def _form_again(form: SecretForm) -> Callable[[CodewordsError], Response]:
    def render(error: CodewordsError) -> Response:
        if isinstance(error, InvalidInput):
            return _form(form, problem=str(error), status=error.status)
        return _sorry(error)

    return render


def _nonce(request: Request) -> str:
    return str(request.path_params["nonce"])


OPERATIONS = [
    HttpOperation(
        "GET", "/secrets/enter/{nonce}", "The page to type a secret on", show,
        tag="secrets", media="text/html",
    ),
    HttpOperation(
        "POST", "/secrets/enter/{nonce}", "Store what was typed", store,
        tag="secrets", media="text/html", body_media="application/x-www-form-urlencoded",
        body={
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("value", "lines", "hosts", "plain")},
        },
    ),
]  # fmt: skip
