"""Bodies as values that can be compared: JSON, forms, multipart, archives, text.

Two bodies that mean the same become equal values: the order of keys, the boundary of a multipart, the level of a compression and
the time in an archive are gone.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, TypeAlias, cast
from urllib.parse import parse_qsl

from codewords_mcp.common.archives import ArchiveBounds, RefusedArchive, read_zip
from codewords_mcp.common.bounded_json import JsonValue, parse
from codewords_mcp.common.inflater import inflate
from codewords_mcp.runtime.recording.exchanges import Headers

Value: TypeAlias = JsonValue

MAX_UNPACKED: Final = 8 << 20
"""Bytes of an archive or a compressed body that are looked at. What is longer counts as bytes."""
_ZIP_BOUNDS: Final = ArchiveBounds(members=1000, size=MAX_UNPACKED)

_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"
_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_PART_FIELD: Final = re.compile(r'\b(name|filename)="([^"]*)"', re.IGNORECASE)


def header(headers: Headers, name: bytes) -> str:
    """The value of a header; "" without one."""
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


def content_of(body: bytes | None, headers: Headers) -> Value:
    """A body with these headers as a value; None for one that was not recorded."""
    if body is None:
        return None
    return read_content(body, header(headers, b"content-type"))


def read_content(body: bytes, content_type: str = "", *, nested: int = 0) -> Value:
    """A body of this type as a value."""
    kind = content_type.partition(";")[0].strip().lower()
    if not body:
        return ""
    # Bounded, since an archive can contain itself.
    if nested < 3 and body.startswith(_GZIP):
        unpacked = inflate(body, "gzip", MAX_UNPACKED)
        if unpacked is not None:
            return {"gzip": read_content(unpacked, nested=nested + 1)}
    if nested < 3 and body.startswith(_ZIP):
        members = _unzipped(body, nested)
        if members is not None:
            return {"zip": members}

    if kind == "multipart/form-data" and (found := _BOUNDARY.search(content_type)):
        return _parts(body, found[1].encode("latin-1"), nested)
    if kind == "application/x-www-form-urlencoded":
        return pairs_of(body.decode("utf-8", "replace"))
    # Of a file each byte counts, also the blanks of one that holds JSON.
    if kind.endswith("json") or (not kind and not nested and body.lstrip()[:1] in b"{["):
        value = _json(body)
        if value is not None:
            return value
    return _text(body)


def pairs_of(query: str) -> Value:
    """A query or a form by name. A name that comes several times has a list, in order."""
    found: dict[str, Value] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        _add(found, name, value)
    return found


def _add(found: dict[str, Value], name: str, value: Value) -> None:
    if name not in found:
        found[name] = value
        return
    before = found[name]
    if isinstance(before, list):
        before.append(value)
    else:
        found[name] = [before, value]


def _json(body: bytes) -> Value:
    # A name that stands twice means one thing to one parser and another to the next: such a body is text.
    try:
        return cast("Value", parse(body, unique_keys=True))
    except ValueError:
        return None


def _text(body: bytes) -> Value:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}


def _parts(body: bytes, boundary: bytes, nested: int) -> Value:
    found: dict[str, Value] = {}
    for part in body.split(b"--" + boundary)[1:]:
        # RFC 2046, 5.1.1: two hyphens after the boundary end the form.
        if part.startswith(b"--"):
            break
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        lines = head.decode("utf-8", "replace").split("\r\n")
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        names = dict(_PART_FIELD.findall(fields.get("content-disposition", "")))
        kind = fields.get("content-type", "")
        value = read_content(content.removesuffix(b"\r\n"), kind, nested=nested + 1)
        if "filename" in names:
            value = {"filename": names["filename"], "type": kind, "content": value}
        _add(found, names.get("name", ""), value)
    return found


def _unzipped(body: bytes, nested: int) -> Value:
    try:
        return {
            member.name: read_content(member.content.read(member.size) or b"", nested=nested + 1)
            for member in read_zip(body, _ZIP_BOUNDS)
        }
    except RefusedArchive:
        return None
