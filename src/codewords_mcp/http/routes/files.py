"""Files: room is asked for with a key; bytes go and come by signed links, whose token is the right."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from codewords_mcp.errors import InvalidInput
from codewords_mcp.http.middleware.client_connection import ClientConnection
from codewords_mcp.http.operations import HttpOperation, Parameter
from codewords_mcp.http.responses import JsonReply, aclose
from codewords_mcp.http.state import app_state, caller, own_url, runtime
from codewords_mcp.runtime.model.file import StoredFile

BINARY = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def create_file(request: Request) -> Response:
    """Room for a file: where to PUT it, where it can be had after, and the headers to PUT it with."""
    name = request.query_params.get("filename")
    if name is None:
        raise InvalidInput("`filename` is missing.", hint="Ask POST /file?filename=report.pdf.")

    scope = request.scope
    links = await runtime(scope).files.create(caller(scope), name)
    here = own_url(scope)
    # A workflow reaches the runtime by an address of its own network; the link that it hands out must work outside.
    if caller(scope).kind == "run":
        outside = runtime(scope).base_url
    else:
        outside = here

    return JsonReply({
        "upload_uri": here + links.upload_path,
        "download_uri": outside + links.download_path,
        "upload_headers": {"Content-Type": mimetypes.guess_type(name)[0] or BINARY},
    })  # fmt: skip


async def upload(request: Request) -> Response:
    """Take the bytes, once."""
    limit = app_state(request.scope).settings.max_file
    content_type = request.headers.get("content-type", BINARY)
    headers = request.scope["headers"]

    async with ClientConnection(
        request.receive, headers, limit=limit, setting="CODEWORDS_MAX_FILE"
    ) as connection:
        size = await runtime(request.scope).files.write(
            request.path_params["token"], connection.chunks(), content_type
        )
        connection.answered()

    return JsonReply({"size": size})


async def download(request: Request) -> Response:
    """The bytes, or one range of them."""
    here = runtime(request.scope)
    file = await here.files.find(request.path_params["token"])
    part = byte_range(request.headers.get("range"), file.size)
    if part is None:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{file.size}"})
    headers = _headers(file, part)
    if request.method == "HEAD":
        return Response(status_code=200 if part.whole else 206, headers=headers)
    return FileReply(part, headers, await here.files.read(file, part.start, part.end))


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` to `end` (exclusive) of a file; `whole` when no range was asked for."""

    start: int
    end: int
    whole: bool = False


def byte_range(header: str | None, size: int) -> ByteRange | None:
    """The range that a header asks for (RFC 9110, 14.2); None when the file has no such bytes.

    What is not one plain range is ignored, as the RFC lets a server do.
    """
    if header:
        match = _RANGE.fullmatch(header.strip())
    else:
        match = None

    if match is None or match[1] == match[2] == "":
        return ByteRange(0, size, whole=True)

    if match[1] == "":
        # A suffix range: the last n bytes.
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)

    if start < end:
        return ByteRange(start, end)

    return None


def _headers(file: StoredFile, part: ByteRange) -> dict[str, str]:
    headers = {
        "Content-Type": file.content_type,
        "Content-Length": str(part.end - part.start),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename, safe='')}",
        # A browser that shows the file anyway runs no script of it.
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
    }
    if not part.whole:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file.size}"
    return headers


class FileReply(Response):
    """A download. Never shown in place: what a workflow wrote must not run as a page of this origin."""

    def __init__(self, part: ByteRange, headers: dict[str, str], chunks: AsyncIterator[bytes]) -> None:
        super().__init__(status_code=200 if part.whole else 206, headers=headers)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises ClientGoneError."""
        async with ClientConnection(receive, [], limit=app_state(scope).settings.max_body) as connection:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            try:
                async for piece in self._chunks:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            finally:
                await aclose(self._chunks)

            connection.answered()
            await send({"type": "http.response.body", "body": b"", "more_body": False})


_TOKEN = Parameter("Range", "One range of bytes.", {"type": "string"}, "header")

OPERATIONS = [
    HttpOperation(
        "POST", "/file", "Make room for a file", create_file, tag="files",
        parameters=(Parameter("filename", "A plain name, no folders.", {"type": "string"}, required=True),),
        description="PUT the bytes to `upload_uri` with `upload_headers`; `download_uri` needs no key and expires.",
        reply={
            "type": "object",
            "properties": {
                "upload_uri": {"type": "string", "format": "uri"}, "download_uri": {"type": "string", "format": "uri"},
                "upload_headers": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    ),
    HttpOperation(
        "PUT", "/file/{token}", "Upload by a signed link", upload, tag="files",
        body={"type": "string", "format": "binary"}, body_media="application/octet-stream",
        reply={"type": "object", "properties": {"size": {"type": "integer"}}},
    ),
    HttpOperation(
        "GET", "/file/{token}", "Download by a signed link", download, tag="files", media="*/*",
        parameters=(_TOKEN,),
    ),
]  # fmt: skip
