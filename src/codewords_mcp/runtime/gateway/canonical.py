"""Gives a request a single meaning before a budget or a list of models is applied to it.

The estimated request is the one that is sent: JSON is sent as it was parsed, a form only if it can
be read in one way.
"""

from __future__ import annotations

import re
from typing import Any, cast

from pydantic_core import to_json

from codewords_mcp.common.bounded_json import MAX_DEPTH, UnacceptableJson, check_depth, parse
from codewords_mcp.common.json_parts import text_of
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway.inputs import plain, spellings
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json

Headers = list[tuple[bytes, bytes]]
_JSON = b"application/json"
# Interfaces that take multipart forms.
_FORMS = frozenset({"images", "audio"})
_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;\s*boundary=("?)([\w\'()+,\-./:=?]{1,70})\1\s*', re.IGNORECASE
)
_PART = re.compile(
    rb'content-disposition: form-data; name="([\w.\-]{1,64}(?:\[\])?)"(; filename="[^"\r\n]{0,500}")?'
    rb"(?:\r\ncontent-type: [^\r\n]{1,200})?(?:\r\ncontent-length: \d{1,12})?",
    re.IGNORECASE,
)
# Form fields that may occur several times.
_MANY = frozenset({"image", "image[]", "include[]", "timestamp_granularities[]", "known_speaker_names[]"})


def canonical(facts: RequestFacts, headers: Headers) -> RequestFacts:
    """Return the request as it will be estimated and sent.

    Raises InvalidInput for a body that can be read in more than one way.
    """
    types: list[bytes] = []
    for name, value in headers:
        if name == b"content-type":
            types.append(value.strip())
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise _unread("it is compressed")

    # Servers differ in which of two they take.
    if len(types) > 1:
        raise _unread("it has two content types")

    if types:
        media = types[0].partition(b";")[0].strip().lower()
    else:
        media = b""

    if media == b"multipart/form-data" and facts.route.flavor in _FORMS:
        return _form(facts, types[0])
    if media in {b"", _JSON, b"text/plain"} or media.endswith(b"+json"):
        return _json(facts)

    raise _unread("its content type is not JSON")


def _json(facts: RequestFacts) -> RequestFacts:
    found, body = facts.parsed, _written(facts.parsed)
    if found and _is_unambiguous(facts.body, found, body):
        _check_all_spellings(found)
        return RequestFacts(facts.route, body, found, facts.model, media=_JSON)

    try:
        parsed: Any = parse(facts.body, unique_keys=True)
    except UnacceptableJson as error:
        raise _unread(str(error)) from None
    except ValueError:
        parsed = None

    if not isinstance(parsed, dict):
        raise _unread("it is not a JSON object")

    found = cast("Json", parsed)
    _check_all_spellings(found)

    model: Any = facts.route.model or found.get("model")

    return RequestFacts(facts.route, _written(found), found, text_of(model), media=_JSON)


def _written(found: Json) -> bytes:
    # NaN and the infinities become null, so a body that holds them never equals its encoding.
    return to_json(found, inf_nan_mode="null")


def _is_unambiguous(body: bytes, found: Json, written: bytes) -> bool:
    """Return True if `found` is the only reading of `body`, without parsing it a second time.

    `written` encodes `found`. False does not mean that the body is ambiguous.
    """
    if body != written:
        # A key that the parser dropped, since a later one has its name, leaves two quotes fewer.
        if _delimiting_quotes(body) != _delimiting_quotes(written):
            return False
        # NaN, the infinities and numbers beyond a float were written as null.
        if b"null" in written and body.count(b"null") != written.count(b"null"):
            return False

    if _may_be_deep(body):
        try:
            check_depth(found)
        except UnacceptableJson:
            return False

    return True


def _may_be_deep(text: bytes) -> bool:
    """Whether a JSON text has more opening brackets than it may be deep."""
    # Python finds one character with the processor's help, and counts it byte by byte.
    remaining = MAX_DEPTH
    for bracket in (b"{", b"["):
        at = text.find(bracket)
        while at >= 0:
            remaining -= 1
            if remaining < 0:
                return True
            at = text.find(bracket, at + 1)
    return False


def _delimiting_quotes(text: bytes) -> int:
    """Count the quotes of a valid JSON text that open or close a string."""
    if b"\\" not in text:
        return text.count(b'"')

    # Escaped backslashes go first, so that a quote after one is not taken for an escaped quote.
    text = text.replace(b"\\\\", b"")
    return text.count(b'"') - text.count(b'\\"')


def _check_all_spellings(found: Json) -> None:
    _check_spellings(found)
    if "generationconfig" not in spellings(found):
        return
    for name, value in found.items():
        if plain(name) == "generationconfig" and isinstance(value, dict):
            _check_spellings(cast("Json", value))


def _check_spellings(found: Json) -> None:
    """Raise InvalidInput if two names differ only in case or separators."""
    # Some providers read both as the same field.
    if len(spellings(found)) != len(found):
        raise _unread("it names a field twice, in two spellings")


def _form(facts: RequestFacts, content_type: bytes) -> RequestFacts:
    """Read a form strictly. A form that a lenient reader could read otherwise is refused."""
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise _unread("its boundary is not plain")

    mark = b"--" + match[2]
    first, *parts = facts.body.split(mark)
    if first or not parts or parts.pop().rstrip(b"\r\n") != b"--":
        raise _unread("it is not a whole form")

    fields: Json = {}
    files = 0
    for part in parts:
        head, gap, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fitting = _PART.fullmatch(head)
        if not part.startswith(b"\r\n") or not gap or not content.endswith(b"\r\n") or fitting is None:
            raise _unread("a part of the form is not plain")

        name = fitting[1].decode()
        # Readers disagree on which of two fields counts.
        if plain(name) in {plain(known) for known in fields} and name not in _MANY:
            raise _unread("a field of the form is named twice")

        if fitting[2] is None:
            fields[name] = content[:-2].decode("utf-8", "replace")
        else:
            files += 1
            fields[name] = ""

    model = fields.get("model", "")
    return facts._replace(parsed=fields, model=model, files=max(files, 1), media=content_type)


def _unread(why: str) -> InvalidInput:
    return InvalidInput(
        f"The request's body cannot be checked against budgets and lists of models: {why}.",
        hint="Send one JSON object that names a model, each field once, without compression.",
    )
