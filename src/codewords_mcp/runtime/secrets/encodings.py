"""The forms in which a secret's value can show up in output."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

_SHORT_LINE = 16


def forms(value: str) -> set[bytes]:
    """Return every encoding of a value, as bytes.

    The value itself; base64, hex and URL encoding; escaped as in JSON, Python or HTML; and each
    long line of a value of several lines.
    """
    raw = value.encode("utf-8", "surrogateescape")
    found = {raw} | _hex(raw) | _base64(raw) | _url(raw) | _escaped(value) | _lines(value)
    return {form for form in found if form}


def _hex(raw: bytes) -> set[bytes]:
    lower = raw.hex()
    return {lower.encode(), lower.upper().encode()}


def _base64(raw: bytes) -> set[bytes]:
    """Return the value in base64's three alignments, as it appears inside longer encoded data.

    Only digits that the value alone determines are included, so padding and neighbours don't
    matter.
    """
    found: set[bytes] = set()
    # Three alignments: what stands before the value in the encoded data is 0, 1 or 2 bytes longer.
    for before, undecided in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(bytes(before) + raw)
        # The last digit is left out where the next byte has a part in it.
        decided = (before + len(raw)) * 8 // 6
        found |= {encoded[undecided:decided], encoded.translate(_URLSAFE)[undecided:decided]}
    return found


_URLSAFE = bytes.maketrans(b"+/", b"-_")


def _url(raw: bytes) -> set[bytes]:
    """Return URL encodings; encoders differ in the characters they escape and in the case of
    digits.
    """
    # The sets that common encoders leave alone: Python's quote, JavaScript's two, and none.
    texts = [quote(raw, safe=safe) for safe in ("", "/", "!'()*", ";,/?:@&=+$#!'()*")]
    texts += [quote_plus(raw), quote_plus(raw, safe="*")]
    return {form.encode() for text in texts for form in (text, _lower_escapes(text))}


def _lower_escapes(text: str) -> str:
    first, *rest = text.split("%")
    return first + "".join("%" + part[:2].lower() + part[2:] for part in rest)


def _escaped(value: str) -> set[bytes]:
    ascii_json, plain_json = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
    texts = {ascii_json, plain_json, ascii_json.replace("/", "\\/")}
    # JSON in a JSON string, as logs of request bodies have it.
    texts |= {json.dumps(ascii_json)[1:-1], json.dumps(plain_json, ensure_ascii=False)[1:-1]}
    texts |= {repr(value)[1:-1], repr(value.encode("utf-8", "surrogateescape"))[2:-1], html.escape(value)}
    return {text.encode("utf-8", "surrogateescape") for text in texts}


def _lines(value: str) -> set[bytes]:
    """Return the long lines of a value: PEM keys are often printed line by line.

    Frame lines are no secret.
    """
    lines = [line.strip() for line in value.splitlines()]
    # A value of one line is searched whole.
    if len(lines) < 2:
        return set()
    long_lines = [line for line in lines if len(line) >= _SHORT_LINE and not line.startswith("-----")]
    return {line.encode("utf-8", "surrogateescape") for line in long_lines} | {
        "\r\n".join(lines).encode("utf-8", "surrogateescape")
    }
