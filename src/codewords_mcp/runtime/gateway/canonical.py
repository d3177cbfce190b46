"""Give a request one meaning, where a budget or a list of models is decided by what its body says.

What was estimated is what is sent: JSON goes on as it was parsed, a form only where it has one reading.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, cast

from pydantic_core import to_json

from codewords_mcp.bounded_json import MAX_DEPTH, UnacceptableJson, check_depth, parse
from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.gateway.inputs import plain
from codewords_mcp.runtime.gateway.request_facts import RequestFacts
from codewords_mcp.runtime.gateway.usage import Json

Headers = list[tuple[bytes, bytes]]
_JSON = b"application/json"
_PYTHON = json.JSONEncoder(allow_nan=False)
"""Encodes as Python's clients do unless they are set otherwise: with spaces, and in ASCII."""
_FORMS = frozenset({"images", "audio"})
"""Interfaces that take forms."""
_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;\s*boundary=("?)([\w\'()+,\-./:=?]{1,70})\1\s*', re.IGNORECASE
)
_PART = re.compile(
    rb'content-disposition: form-data; name="([\w.\-]{1,64}(?:\[\])?)"(; filename="[^"\r\n]{0,500}")?'
    rb"(?:\r\ncontent-type: [^\r\n]{1,200})?(?:\r\ncontent-length: \d{1,12})?",
    re.IGNORECASE,
)
_MANY = frozenset({"image", "image[]", "include[]", "timestamp_granularities[]", "known_speaker_names[]"})
"""Fields that a form may have several of."""


def canonical(asked: RequestFacts, headers: Headers) -> RequestFacts:
    """Return the request as it will be estimated and sent. Raises InvalidInput for a body with more than one reading."""
    types: list[bytes] = []
    for name, value in headers:
        if name == b"content-type":
            types.append(value.strip())
        elif name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise _unread("it is compressed")

    if len(types) > 1:
        raise _unread("it has two content types")

    if types:
        media = types[0].partition(b";")[0].strip().lower()
    else:
        media = b""

    if media == b"multipart/form-data" and asked.route.flavor in _FORMS:
        return _form(asked, types[0])
    if media in {b"", _JSON, b"text/plain"} or media.endswith(b"+json"):
        return _json(asked)

    raise _unread("its content type is not JSON")


def _json(asked: RequestFacts) -> RequestFacts:
    found, body = asked.parsed, _written(asked.parsed)
    if found and _has_one_reading(asked.body, found, body):
        _check_all_spellings(found)
        return RequestFacts(asked.route, body, found, asked.model, media=_JSON)

    try:
        parsed: Any = parse(asked.body, unique_keys=True)
    except UnacceptableJson as error:
        raise _unread(str(error)) from None
    except ValueError:
        parsed = None

    if not isinstance(parsed, dict):
        raise _unread("it is not a JSON object")

    found = cast("Json", parsed)
    _check_all_spellings(found)

    model: Any = asked.route.model or found.get("model")

    return RequestFacts(
        asked.route, _written(found), found, model if isinstance(model, str) else "", media=_JSON
    )


def _written(found: Json) -> bytes:
    # NaN and the infinities become null, so that no body with them is equal to what is written
    return to_json(found, inf_nan_mode="null")


def _has_one_reading(body: bytes, found: Json, written: bytes) -> bool:
    """Return True where `found` is the only reading of `body`, without parsing it a second time.

    Most clients write JSON compactly or as Python does by default. A body that an encoder writes back to the same bytes
    names no key twice. False says nothing about a body.
    """
    try:
        if body != written and body != _PYTHON.encode(found).encode():
            return False
        if body.count(b"{") + body.count(b"[") > MAX_DEPTH:
            check_depth(found)
    except ValueError:
        return False

    return True


def _check_all_spellings(found: Json) -> None:
    _check_spellings(found)
    for name, value in found.items():
        if plain(name) == "generationconfig" and isinstance(value, dict):
            _check_spellings(cast("Json", value))


def _check_spellings(found: Json) -> None:
    """Some providers read names in any case and with or without separators: of two, nobody knows which they take."""
    spelled = {plain(name) for name in found}
    if len(spelled) != len(found):
        raise _unread("it names a field twice, in two spellings")


def _form(asked: RequestFacts, content_type: bytes) -> RequestFacts:
    """Read a form strictly. What a lenient reader could take for another form is refused."""
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise _unread("its boundary is not plain")

    mark = b"--" + match[2]
    first, *parts = asked.body.split(mark)
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
        if plain(name) in {plain(known) for known in fields} and name not in _MANY:
            raise _unread("a field of the form is named twice")

        if fitting[2] is None:
            fields[name] = content[:-2].decode("utf-8", "replace")
        else:
            files += 1
            fields[name] = ""

    model = fields.get("model", "")
    return replace(asked, parsed=fields, model=model, files=max(files, 1), media=content_type)


def _unread(why: str) -> InvalidInput:
    return InvalidInput(
        f"The body cannot be held to its budget or its list of models: {why}.",
        hint="Send one JSON object that names a model, each field once, without compression.",
    )
