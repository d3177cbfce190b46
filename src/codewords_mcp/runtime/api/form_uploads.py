"""Files that a caller hands to a workflow's form: texts, and addresses that are fetched."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.web.client import Web

MAX_FORM: Final = 10 << 20
"""Bytes of all files of one form."""
_OK: Final = 200
_LOCAL_PATH: Final = re.compile(r"(?:file://|~?/|\.{1,2}/|[A-Za-z]:[\\/])[^\r\n]{1,4000}")
"""A text of one line that begins like a path or a file: address."""
_DATA: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w-]+=[^;,]*)*(;base64)?,(.*)", re.DOTALL)
# Characters that end a parameter of a part's header or the header itself, or name a folder.
_NOT_IN_NAMES: Final = str.maketrans({'"': "_", "\r": "_", "\n": "_", "/": "_", "\\": "_"})


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form: its field, its name, its media type and its bytes."""

    field: str
    filename: str
    content_type: str
    data: bytes


async def form_of(
    web: Web, fields: Any, files: Mapping[str, str], known: Sequence[str] = ()
) -> tuple[bytes, bytes]:
    """(The content type, the body) of a form with these fields and files.

    `files`: field → text, a data: URI, or the address of a file. A field with a dot gives the file its name: `table.csv`
    is the field `table`. `known` are the form's fields for files, where they are described: the name of a file that
    is no field goes to the only one. Raises InvalidInput, AddressRefused, UpstreamFailed.
    """
    if fields is not None and not isinstance(fields, dict):
        raise InvalidInput("With `files`, `input` is an object of the form's other fields.")

    uploads = [await _file(web, key, value, known) for key, value in files.items()]
    if sum(len(upload.data) for upload in uploads) > MAX_FORM:
        raise InvalidInput(
            f"The files have more than {MAX_FORM >> 20} MiB.", hint="Pass the address of each in `input`."
        )
    return _encoded(cast("dict[str, Any]", fields or {}), uploads)


async def _file(web: Web, key: str, value: str, known: Sequence[str]) -> FormFile:
    field, dot = _field(key, known)
    if _LOCAL_PATH.fullmatch(value):
        raise InvalidInput(
            f"The file for `{field}` is a path, and nothing here reads files of another machine.",
            hint="Give its text, a data: URI, or an https address, such as one of a file that was uploaded from that machine.",
        )
    if value.startswith("data:"):
        return _decoded(field, key if dot else "", value)
    # A text may begin with an address, and then has a space or line end behind it.
    if not value.startswith(("https://", "http://")) or any(mark.isspace() for mark in value):
        name = key if dot else f"{key}.txt"
        return FormFile(field, name, mimetypes.guess_type(name)[0] or "text/plain", value.encode())

    answer = await web.fetch(value, max_bytes=MAX_FORM)
    if answer.status != _OK:
        raise UpstreamFailed(f"The address for `files` answered {answer.status}, so nothing was run.")
    if dot:
        name = key
    else:
        name = unquote(urlsplit(value).path).rpartition("/")[2] or field
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return FormFile(field, name, kind, answer.body)


def _field(key: str, known: Sequence[str]) -> tuple[str, bool]:
    """(The field that a key names, whether the key is a file's name too.)"""
    field, dot, _ = key.partition(".")
    if key in known:
        return key, False
    if not known or field in known:
        return field, bool(dot)
    if len(known) == 1:
        return known[0], bool(dot)
    raise InvalidInput(
        "A file is for a field that this form has not.",
        hint=f'Its fields for files are {", ".join(known)}; "{known[0]}.csv" fills `{known[0]}` and names the file.',
    )


def _decoded(field: str, name: str, address: str) -> FormFile:
    """The file of a data: URI (RFC 2397)."""
    parts = _DATA.fullmatch(address)
    if parts is None:
        raise InvalidInput(
            f"The data: URI for `{field}` is none.", hint="Write data:TYPE;base64,… or data:TYPE,…."
        )
    kind = parts[1] or "text/plain"
    if parts[2]:
        try:
            data = base64.b64decode(unquote_to_bytes(parts[3]), validate=True)
        except binascii.Error:
            raise InvalidInput(f"The data: URI for `{field}` is not base64.") from None
    else:
        data = unquote_to_bytes(parts[3])
    return FormFile(field, name or field + (mimetypes.guess_extension(kind) or ""), kind, data)


def _encoded(fields: dict[str, Any], files: list[FormFile]) -> tuple[bytes, bytes]:
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        parts += [_head(boundary, name), b"\r\n", text.encode(), b"\r\n"]
    for file in files:
        filename = file.filename.translate(_NOT_IN_NAMES)
        head = _head(boundary, file.field).removesuffix(b"\r\n")
        parts += [
            head,
            f'; filename="{filename}"\r\nContent-Type: {file.content_type}\r\n\r\n'.encode(),
            file.data,
            b"\r\n",
        ]
    parts.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}".encode(), b"".join(parts)


def _head(boundary: str, name: str) -> bytes:
    return (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name.translate(_NOT_IN_NAMES)}"\r\n'.encode()
    )
