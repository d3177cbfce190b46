"""`files`: what a workflow gives out or keeps for some days, by links that need no key; large ones go by POST /file."""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import AsyncIterator

from pydantic import AliasChoices, Field
from sqlalchemy import RowMapping

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.services.base import Input, Operation, Output, Service, ServiceContext
from codewords_mcp.runtime.store.clock import to_text

MAX_READ = 10 << 20
BINARY = "application/octet-stream"


class UploadInput(Input):
    """`content` is text; what is none goes into `content_base64`."""

    filename: str = Field(min_length=1, max_length=255)
    content: str | None = Field(default=None, validation_alias=AliasChoices("content", "text"))
    content_base64: str | None = Field(
        default=None, validation_alias=AliasChoices("content_base64", "base64", "data")
    )
    content_type: str | None = Field(
        default=None, pattern=r"^[a-z0-9]+/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}(; ?charset=[A-Za-z0-9-]{1,20})?$"
    )


class FileRef(Input):
    """A file."""

    file_id: str = Field(pattern=r"^[0-9a-f]{32}$", validation_alias=AliasChoices("file_id", "id"))


class Newest(Input):
    """At most so many."""

    limit: int = Field(default=100, ge=1, le=1000)


class File(Output):
    """`download_uri` needs no key; it is good until `expires_at`."""

    file_id: str
    filename: str
    content_type: str
    size: int
    created_at: str
    expires_at: str
    download_uri: str | None = None


class Stored(File):
    """The file as it is now."""

    success: bool


class FileList(Output):
    """Newest first."""

    files: list[File]


class Read(Stored):
    """What is text is in `content`, all else in `content_base64`."""

    content: str | None = None
    content_base64: str | None = None


class DeletedFile(Output):
    """Its links lead nowhere any more."""

    success: bool
    file_id: str


async def upload(context: ServiceContext, asked: UploadInput) -> Stored:
    """Raises InvalidInput, BodyTooLarge, StorageFailed."""
    if (asked.content is None) == (asked.content_base64 is None):
        raise InvalidInput("Give either `content` or `content_base64`.")

    try:
        if asked.content_base64 is not None:
            data = base64.b64decode(asked.content_base64, validate=True)
        else:
            data = (asked.content or "").encode()
    except binascii.Error:
        raise InvalidInput("`content_base64` is not base64.") from None

    guessed = mimetypes.guess_type(asked.filename)[0] or (
        "text/plain" if asked.content is not None else BINARY
    )
    store = context.parts.files
    links = await store.create(context.caller, asked.filename, maker=context.workflow)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    await store.write(links.upload_path.rpartition("/")[2], chunks(), asked.content_type or guessed)

    return await link(context, FileRef(file_id=links.file_id))


async def link(context: ServiceContext, asked: FileRef) -> Stored:
    """Raises NotFound."""
    row, path = await context.parts.files.owned(context.caller.owner, asked.file_id, maker=context.workflow)
    return Stored.model_validate(
        _told(row) | {"success": True, "download_uri": context.parts.address() + path}
    )


async def listed(context: ServiceContext, asked: Newest) -> FileList:
    """Newest first."""
    rows = await context.parts.files.list(context.caller.owner, asked.limit, maker=context.workflow)
    return FileList(files=[File.model_validate(_told(row)) for row in rows])


async def read(context: ServiceContext, asked: FileRef) -> Read:
    """Raises NotFound; InvalidInput for one that is too large for an answer."""
    store = context.parts.files
    row, path = await store.owned(context.caller.owner, asked.file_id, maker=context.workflow)
    if row["size"] > MAX_READ:
        raise InvalidInput(
            f"The file is larger than {MAX_READ >> 20} MiB.", hint="Get it from its `download_uri` (`link`)."
        )

    chunks = await store.read(await store.find(path.rpartition("/")[2]), 0, row["size"])
    data = b"".join([chunk async for chunk in chunks])
    told = _told(row) | {"success": True}
    try:
        return Read.model_validate(told | {"content": data.decode()})
    except UnicodeDecodeError:
        return Read.model_validate(told | {"content_base64": base64.b64encode(data).decode()})


async def delete(context: ServiceContext, asked: FileRef) -> DeletedFile:
    """Raises NotFound."""
    await context.parts.files.delete(context.caller.owner, asked.file_id, maker=context.workflow)
    return DeletedFile(success=True, file_id=asked.file_id)


def _told(row: RowMapping) -> dict[str, object]:
    return {
        "file_id": row["id"],
        "filename": row["filename"],
        "content_type": row["content_type"] or BINARY,
        "size": row["size"],
        "created_at": to_text(row["created_at"]),
        "expires_at": to_text(row["expires_at"]),
    }


_ONE = {"file_id": "0123456789abcdef0123456789abcdef"}

SERVICE = Service(
    name="files",
    title="Files",
    summary="Files that a workflow gives out or keeps for some days, by links that need no key.",
    operations=(
        Operation(
            "Store a file",
            UploadInput,
            Stored,
            upload,
            effect="writes",
            path="upload",
            private=True,
            example={"filename": "report.csv", "content": "name,score\nAda,7\n"},
        ),
        Operation(
            "List files", Newest, FileList, listed, effect="reads", path="list", aliases=("",), example={}
        ),
        Operation(
            "Read a file", FileRef, Read, read, effect="reads", path="read", private=True, example=_ONE
        ),
        Operation(
            "Get a new download link",
            FileRef,
            Stored,
            link,
            effect="reads",
            path="link",
            private=True,
            example=_ONE,
        ),
        Operation(
            "Delete a file", FileRef, DeletedFile, delete, effect="writes", path="delete", example=_ONE
        ),
    ),
)
