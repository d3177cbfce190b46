"""The page by which who was sent a question answers it. It asks once more, since mail programs look at links."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from codewords_mcp.errors import BodyTooLarge, InvalidInput
from codewords_mcp.http.bodies import read_bytes
from codewords_mcp.http.middleware.session_cookies import browser_of
from codewords_mcp.http.operations import HttpOperation
from codewords_mcp.http.pages import page, sorry
from codewords_mcp.http.state import ERROR_PAGE, runtime
from codewords_mcp.runtime.model.answer_form import MAX_FIELDS, MAX_TEXT
from codewords_mcp.runtime.model.run_wait import SentQuestion

_MAX_FORM = MAX_FIELDS * MAX_TEXT * 4
_ANSWER = "answer"
_FIELD = "field-"
_TYPES = {"date": "date", "date-time": "datetime-local", "email": "email", "uri": "url"}
_WAYS = {"email": "this mail went to", "slack": "this message went to", "whatsapp": "this message went to"}
_sorry = sorry("The answer was not taken")
_Form = dict[str, list[str]]


async def show(request: Request) -> Response:
    """Show a question to who was sent it. Showing does not answer it."""
    request.scope[ERROR_PAGE] = _sorry
    return _page(await runtime(request.scope).approvals.peek_sent(_token(request)), {})


async def answer(request: Request) -> Response:
    """Take the answer, once. A form that does not fit is shown again with the reason."""
    request.scope[ERROR_PAGE] = _sorry
    text = (await read_bytes(request, _MAX_FORM, _too_large)).decode("ascii", "replace")
    form = parse_qs(text, keep_blank_values=True, max_num_fields=2 * MAX_FIELDS + 2)
    api, token = runtime(request.scope).approvals, _token(request)
    # Read first: the form is shown again with it where the answer does not fit.
    sent = await api.peek_sent(token)

    chosen = form.get(_ANSWER, [""])[0]
    try:
        fields = _values(sent.question.fields, form)
        then = await api.answer_sent(token, chosen, fields, _place(request))
    except InvalidInput as error:
        return _page(sent, form, problem=error.message)
    return page(
        "Answered",
        f'<h1 class="good">Answered: {escape(chosen)}</h1><p>{escape(then)}</p>'
        '<p class="last">You can close this page.</p>',
    )


def _page(sent: SentQuestion, form: _Form, *, problem: str = "") -> Response:
    question = sent.question
    if question.details:
        details = f'<div class="data">{escape(question.details)}</div>'
    else:
        details = ""
    if problem:
        notice = f'<p class="bad" role="alert">{escape(problem)}</p>'
    else:
        notice = ""
    options = question.options if sent.option is None else [sent.option]
    buttons = "".join(
        f'<button name="{_ANSWER}" value="{escape(option)}"{"" if number == 0 else " class=quiet"}>{escape(option)}</button>'
        for number, option in enumerate(options)
    )
    fields = _inputs(question.fields, form)
    lead = f"The workflow {escape(sent.workflow)} asks; {_WAYS[sent.recipient.channel]} {escape(sent.recipient.target)}."
    until = question.due_at.strftime("%d %B %Y, %H:%M")
    if len(options) == 1:
        asks = "Your answer counts when you press the button."
    else:
        asks = "Choose one."
    return page(
        question.title,
        f'<p class="dim">{lead}</p><h1>{escape(question.title)}</h1>{details}{notice}'
        f'<form method="post">{fields}<p>{asks}</p>{buttons}</form>'
        f'<p class="dim last">Until {until} UTC. The first answer counts. If this is not for you, close this page: '
        "nothing happens then.</p>",
        status=400 if problem else 200,
    )


def _inputs(schema: dict[str, Any] | None, form: _Form) -> str:
    if schema is None:
        return ""
    named: dict[str, dict[str, Any]] = schema["properties"]
    return "".join(
        _input(number, name, field, form, required=name in schema["required"])
        for number, (name, field) in enumerate(named.items())
    )


def _input(number: int, name: str, field: dict[str, Any], form: _Form, *, required: bool) -> str:
    key = f"{_FIELD}{number}"
    entered = form.get(key)
    value = "" if field.get("default") is None else field["default"]
    value_text = str(value) if entered is None else entered[0]
    label = escape(str(field.get("title") or name))
    if field.get("description"):
        help_text = f'<p class="dim">{escape(str(field["description"]))}</p>'
    else:
        help_text = ""
    needed = " required" if required else ""

    if field.get("type") == "boolean" and "enum" not in field:
        # In a form that comes back a missing box was unticked; the default is for the first showing.
        ticked = bool(value) if not form else entered is not None
        tick = f'<input type="checkbox" name="{key}" value="1"{" checked" if ticked else ""}>'
        return f'<label class="tick">{tick}{label}</label>{help_text}'

    head = f'<label for="{key}">{label}{"" if required else " (optional)"}</label>'
    if "enum" in field:
        chosen = _chosen(field, entered)
        choices = "".join(
            f'<option value="{at}"{" selected" if at == chosen else ""}>{escape(str(choice))}</option>'
            for at, choice in enumerate(field["enum"])
        )
        body = f'<select id="{key}" name="{key}"{needed}><option value=""></option>{choices}</select>'
    elif field.get("format") == "multiline":
        body = f'<textarea class="short" rows="4" id="{key}" name="{key}"{needed}>{escape(value_text)}</textarea>'
    else:
        body = f'<input id="{key}" name="{key}"{_kind(field)} value="{escape(value_text)}"{needed}>'
    return f"{head}{body}{help_text}"


def _kind(field: dict[str, Any]) -> str:
    if field.get("type") in {"number", "integer"}:
        bounds = "".join(
            f' {name}="{field[bound]}"'
            for bound, name in (("minimum", "min"), ("maximum", "max"))
            if bound in field
        )
        step = "1" if field["type"] == "integer" else "any"
        return f' type="number" step="{step}"{bounds}'
    if "maxLength" in field:
        limit = f' maxlength="{min(int(field["maxLength"]), MAX_TEXT)}"'
    else:
        limit = ""
    return f' type="{_TYPES.get(field.get("format", ""), "text")}"{limit}'


def _chosen(field: dict[str, Any], entered: list[str] | None) -> int | None:
    if entered is not None:
        if entered[0].isascii() and entered[0].isdigit():
            return int(entered[0])
        return None
    choices: list[Any] = field["enum"]
    if field.get("default") not in choices:
        return None
    return choices.index(field["default"])


def _values(schema: dict[str, Any] | None, form: _Form) -> dict[str, Any]:
    """The form's values as the schema's types. Raises InvalidInput for a text that is no number."""
    named: dict[str, dict[str, Any]] = {} if schema is None else schema["properties"]
    found: dict[str, Any] = {}
    for number, (name, field) in enumerate(named.items()):
        entered = form.get(f"{_FIELD}{number}")
        if field.get("type") == "boolean" and "enum" not in field:
            # Browsers send nothing for a box that is not ticked.
            found[name] = entered is not None
        elif entered is not None and entered[0] != "":
            found[name] = _value(number, field, entered[0])
    return found


def _value(number: int, field: dict[str, Any], text: str) -> object:
    try:
        if "enum" in field:
            # A form sends texts, and a choice may be of any type, so that it is sent by its number.
            return field["enum"][int(text)]
        match field.get("type", "string"):
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case _:
                return text
    except (ValueError, IndexError):
        raise InvalidInput(f"Field {number + 1} does not fit what is asked for.") from None


def _place(request: Request) -> str:
    if request.client is not None:
        address = request.client.host
    else:
        address = "an unknown address"
    return f"{browser_of(request.scope)} at {address}"


def _too_large(_limit: int) -> BodyTooLarge:
    return BodyTooLarge("That is no answer of this page.", hint="Open the link again and choose.")


def _token(request: Request) -> str:
    return str(request.path_params["token"])


OPERATIONS = [
    HttpOperation(
        "GET", "/answer/{token}", "The page by which who was sent a question answers it", show, tag="questions",
        media="text/html",
    ),
    HttpOperation(
        "POST", "/answer/{token}", "Answer a question by its link", answer, tag="questions", media="text/html",
        body_media="application/x-www-form-urlencoded",
        body={"type": "object", "properties": {"answer": {"type": "string"}}},
        description="Without a sign-in: the token is signed, of one question, one recipient and one option, and works until "
        "the question is over. GET shows the page and answers nothing.",
    ),
]  # fmt: skip
