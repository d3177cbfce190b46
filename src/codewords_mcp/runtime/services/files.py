"""`files`: files that a workflow shares or stores for some days, by links that need no key.

Large files go by POST /file.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import AsyncIterator

from pydantic import AliasChoices, Field

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.store.clock import to_text
from codewords_mcp.runtime.store.rows import FileRow

MAX_READ = 10 << 20
BINARY = "application/octet-stream"


class UploadInput(Input):
    """`content` is text; binary data goes into `content_base64`."""

    filename: str = Field(min_length=1, max_length=255)
    content: str | None = Field(default=None, validation_alias=AliasChoices("content", "text"))
    content_base64: str | None = Field(
        default=None, validation_alias=AliasChoices("content_base64", "base64", "data")
    )
    content_type: str | None = Field(
        default=None, pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}(; ?charset=[A-Za-z0-9-]{1,20})?$"
    )


class FileRef(Input):
    """A file, by its id."""

    file_id: str = Field(pattern=r"^[0-9a-f]{32}$", validation_alias=AliasChoices("file_id", "id"))


class FileListInput(Input):
    """The maximum number of files to list."""

    limit: int = Field(default=100, ge=1, le=1000)


class File(Output):
    """`download_uri` needs no key and works until `expires_at`."""

    file_id: str
    filename: str
    content_type: str
    size: int
    created_at: str
    expires_at: str
    download_uri: str | None = None


class FileOutput(File):
    """A file with a new download link."""

    success: bool


class FileList(Output):
    """The files, newest first."""

    files: list[File]


class FileContent(FileOutput):
    """The file's data: text in `content`, anything else in `content_base64`."""

    content: str | None = None
    content_base64: str | None = None


class DeletedFile(Output):
    """The deleted file. Its links stopped working."""

    success: bool
    file_id: str


async def upload(context: ServiceContext, params: UploadInput) -> FileOutput:
    """Store a file. Raises InvalidInput, BodyTooLarge, StorageFailed."""
    if (params.content is None) == (params.content_base64 is None):
        raise InvalidInput("Give either `content` or `content_base64`.")

    try:
        if params.content_base64 is not None:
            # Without `validate` Python skips what is not base64.
            data = base64.b64decode(params.content_base64, validate=True)
        else:
            data = (params.content or "").encode()
    except binascii.Error:
        raise InvalidInput("`content_base64` is not base64.") from None

    guessed_type = mimetypes.guess_type(params.filename)[0] or (
        "text/plain" if params.content is not None else BINARY
    )
    store = context.dependencies.files
    links = await store.create(context.caller, params.filename, maker=context.workflow)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    await store.write(links.upload_path.rpartition("/")[2], chunks(), params.content_type or guessed_type)

    return await link(context, FileRef(file_id=links.file_id))


async def link(context: ServiceContext, params: FileRef) -> FileOutput:
    """Make a new download link. Raises NotFound."""
    # A workflow finds only the files that it made.
    row, path = await context.dependencies.files.owned(
        context.caller.owner, params.file_id, maker=context.workflow
    )
    return FileOutput.model_validate(
        _file_fields(row) | {"success": True, "download_uri": context.dependencies.address() + path}
    )


async def list_files(context: ServiceContext, params: FileListInput) -> FileList:
    """List files, newest first."""
    rows = await context.dependencies.files.list(context.caller.owner, params.limit, maker=context.workflow)
    return FileList(files=[File.model_validate(_file_fields(row)) for row in rows])


async def read(context: ServiceContext, params: FileRef) -> FileContent:
    """Read a file. Raises NotFound; InvalidInput for a file that is too large for a response."""
    store = context.dependencies.files
    row, path = await store.owned(context.caller.owner, params.file_id, maker=context.workflow)
    # The whole file would be in memory, and in the JSON of the response.
    size = row["size"] or 0
    if size > MAX_READ:
        raise InvalidInput(
            f"The file is larger than {MAX_READ >> 20} MiB.",
            hint="Download it from its `download_uri` (operation `link`).",
        )

    chunks = await store.read(await store.find(path.rpartition("/")[2]), 0, size)
    data = b"".join([chunk async for chunk in chunks])
    fields = _file_fields(row) | {"success": True}
    try:
        # Decided by the data: a content type is what the uploader wrote.
        return FileContent.model_validate(fields | {"content": data.decode()})
    except UnicodeDecodeError:
        return FileContent.model_validate(fields | {"content_base64": base64.b64encode(data).decode()})


async def delete(context: ServiceContext, params: FileRef) -> DeletedFile:
    """Delete a file. Raises NotFound."""
    await context.dependencies.files.delete(context.caller.owner, params.file_id, maker=context.workflow)
    return DeletedFile(success=True, file_id=params.file_id)


def _file_fields(row: FileRow) -> dict[str, object]:
    return {
        "file_id": row["id"],
        "filename": row["filename"],
        "content_type": row["content_type"] or BINARY,
        "size": row["size"],
        "created_at": to_text(row["created_at"]),
        "expires_at": to_text(row["expires_at"]),
    }


_RECORDED = ("success", "file_id", "filename", "content_type", "size", "created_at", "expires_at")
"""All but the link: who may read the record gets a new one."""
_EXAMPLE = {"file_id": "0123456789abcdef0123456789abcdef"}

SERVICE = Service(
    name="files",
    title="Files",
    summary="Files that a workflow shares or stores for some days, by links that need no key.",
    operations=(
        Operation(
            "Store a file",
            UploadInput,
            FileOutput,
            upload,
            effect="writes",
            path="upload",
            private=True,
            recorded=_RECORDED,
            example={"filename": "report.csv", "content": "name,score\nAda,7\n"},
        ),
        Operation(
            "List files",
            FileListInput,
            FileList,
            list_files,
            effect="reads",
            path="list",
            aliases=("",),
            example={},
        ),
        Operation(
            "Read a file",
            FileRef,
            FileContent,
            read,
            effect="reads",
            path="read",
            private=True,
            example=_EXAMPLE,
        ),
        Operation(
            "Get a new download link",
            FileRef,
            FileOutput,
            link,
            effect="reads",
            path="link",
            private=True,
            recorded=_RECORDED,
            example=_EXAMPLE,
        ),
        Operation(
            "Delete a file", FileRef, DeletedFile, delete, effect="writes", path="delete", example=_EXAMPLE
        ),
    ),
)
