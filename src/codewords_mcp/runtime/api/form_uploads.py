"""Files that a caller hands to a workflow's form: texts, and addresses that are fetched."""

from __future__ import annotations

import json
import mimetypes
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

from codewords_mcp.errors import InvalidInput, UpstreamFailed
from codewords_mcp.runtime.web.client import Web

MAX_FORM: Final = 10 << 20
"""Bytes of all files of one form."""
_OK: Final = 200
# Characters that end a parameter of a part's header or the header itself, or name a folder.
_NOT_IN_NAMES: Final = str.maketrans({'"': "_", "\r": "_", "\n": "_", "/": "_", "\\": "_"})


@dataclass(frozen=True, slots=True)
class FormFile:
    """A file of a form: its field, its name, its media type and its bytes."""

    field: str
    filename: str
    content_type: str
    data: bytes


async def form_of(web: Web, fields: Any, files: Mapping[str, str]) -> tuple[bytes, bytes]:
    """(The content type, the body) of a form with these fields and files.

    `files`: field → text, or the address of a file. A field with a dot gives the file its name: `table.csv` is the
    field `table`. Raises InvalidInput, AddressRefused, UpstreamFailed.
    """
    if fields is not None and not isinstance(fields, dict):
        raise InvalidInput("With `files`, `input` is an object of the form's other fields.")

    uploads = [await _file(web, key, value) for key, value in files.items()]
    if sum(len(upload.data) for upload in uploads) > MAX_FORM:
        raise InvalidInput(
            f"The files have more than {MAX_FORM >> 20} MiB.", hint="Pass the address of each in `input`."
        )
    return _encoded(cast("dict[str, Any]", fields or {}), uploads)


async def _file(web: Web, key: str, value: str) -> FormFile:
    field, dot, _ = key.partition(".")
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
