"""Files that callers upload and download by signed links.

Their bytes are in a folder or a bucket, their rows in the store.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from codewords_mcp.errors import (
    BodyTooLarge,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthenticated,
)
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.file import FileLinks, StoredFile
from codewords_mcp.runtime.store import access
from codewords_mcp.runtime.store.blobs import Blobs
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database
from codewords_mcp.runtime.store.rows import FileRow
from codewords_mcp.runtime.store.storage_room import StorageRoom

DAY = 86400.0
EXPIRED_AT_ONCE = 500
"""Expired files that are removed in one transaction at the most."""


FindRoom = Callable[[str], Awaitable[StorageRoom | None]]
"""Gives what an owner may still store; None for no quota."""


async def _unlimited(_owner: str) -> StorageRoom | None:
    return None


class FileStore:
    """Uploads and downloads. A link carries its right: file id, use, and time, signed."""

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        signing_key: str,
        *,
        ttl: float,
        max_bytes: int,
        storage_room: FindRoom | None = None,
    ) -> None:
        self._db = database
        self.blobs = blobs
        self._ttl = ttl
        self._max = max_bytes
        self._storage_room = storage_room or _unlimited
        self._signer = URLSafeTimedSerializer(signing_key, salt="files")

    async def create(self, caller: Caller, filename: str, *, maker: str | None = None) -> FileLinks:
        """Create an upload link. `maker`: the workflow whose run requests it. Raises InvalidInput."""
        name = filename.strip()
        if not is_plain_name(name):
            raise InvalidInput(
                "A file name is 1 to 255 bytes of printable text without slashes.",
                hint="Pass ?filename=report.csv, without folders.",
            )

        file_id, at = secrets.token_hex(16), now()
        row: FileRow = {
            "id": file_id,
            "owner": caller.owner,
            "filename": name,
            "content_type": None,
            "size": None,
            "stored_as": None,
            "created_at": at,
            "expires_at": at + int(self._ttl * 1e6),
            "maker": maker,
        }
        await self._db.write(access.add_file, row)

        return FileLinks(
            file_id=file_id, upload_path=self._path(file_id, "put"), download_path=self._path(file_id, "get")
        )

    async def add(
        self,
        owner: str,
        file_id: str,
        filename: str,
        chunks: AsyncIterator[bytes],
        *,
        content_type: str,
        maker: str | None,
    ) -> None:
        """Store a file that the platform makes, whole or not at all, under a new id.

        Raises BodyTooLarge, StorageQuotaExceeded, StorageFailed.
        """
        name, counted = f"{file_id}.{secrets.token_hex(4)}", await self._counted(owner, chunks)
        # The bytes before the row: a row without them would be a link that leads nowhere.
        await self.blobs.put(name, counted.chunks())
        at = now()
        row: FileRow = {
            "id": file_id,
            "owner": owner,
            "filename": filename,
            "content_type": content_type[:255],
            "size": counted.size,
            "stored_as": name,
            "created_at": at,
            "expires_at": at + int(self._ttl * 1e6),
            "maker": maker,
        }
        await self._db.write(access.add_file, row)

    def _path(self, file_id: str, use: Literal["put", "get"]) -> str:
        return f"/file/{self._signer.dumps([file_id, use])}"

    async def list(self, owner: str, limit: int, *, maker: str | None = None) -> list[FileRow]:
        """List uploaded files, newest first. `maker`: only files that runs of this workflow made."""
        return await self._db.read(lambda c: access.list_files(c, owner, now(), limit, maker))

    async def owned(self, owner: str, file_id: str, *, maker: str | None = None) -> tuple[FileRow, str]:
        """Return an uploaded file's row and a new download path. Raises NotFound.

        `maker`: only for files of this workflow.
        """
        row = await self._db.read(access.get_file, file_id)
        if row is not None and maker not in {None, row["maker"]}:
            row = None
        if row is None or row["owner"] != owner or row["size"] is None or row["expires_at"] <= now():
            # Another owner's file is answered like none, so that ids cannot be probed.
            raise NotFound("There is no file of this id, or it has expired.")
        return row, self._path(file_id, "get")

    async def delete(self, owner: str, file_id: str, *, maker: str | None = None) -> None:
        """Remove a file and its bytes; its links lead nowhere then. Raises NotFound."""
        row, _ = await self.owned(owner, file_id, maker=maker)
        # The row before the bytes: what a crash leaves of these is found by its age.
        await self._db.write(access.delete_file, file_id)
        await self.blobs.delete([row["stored_as"] or file_id])

    async def owner_of(self, token: str) -> str | None:
        """Return the owner of the file that a link leads to; None if it no longer exists.

        Raises Unauthenticated.
        """
        file_id, _ = self._signed(token)
        row = await self._db.read(access.get_file, file_id)
        if row is None:
            return None
        return str(row["owner"])

    def _open(self, token: str, use: Literal["put", "get"]) -> str:
        file_id, allowed = self._signed(token)
        if allowed != use:
            raise Unauthenticated(
                "This file link is for the other direction.", hint="PUT to upload_uri, GET from download_uri."
            )
        return file_id

    def _signed(self, token: str) -> tuple[str, str]:
        """(id of the file, use that the link allows). Raises Unauthenticated."""
        try:
            file_id, allowed = self._signer.loads(token, max_age=int(self._ttl))
        except SignatureExpired as error:
            raise Unauthenticated(
                "This file link has expired.", hint="POST /file gives a new one."
            ) from error
        except BadSignature as error:
            raise Unauthenticated(
                "This file link is not valid.", hint="Use the link as POST /file gave it, unchanged."
            ) from error

        return str(file_id), str(allowed)

    async def write(self, token: str, chunks: AsyncIterator[bytes], content_type: str) -> int:
        """Store an upload, once, whole or not at all; its size in bytes.

        Raises Unauthenticated, Conflict (already uploaded), BodyTooLarge, StorageQuotaExceeded, StorageFailed.
        """
        file_id = self._open(token, "put")
        row = await self._db.read(access.get_file, file_id)
        if row is None:
            raise Unauthenticated("This file link has expired.", hint="POST /file gives a new one.")
        if row["size"] is not None:
            raise Conflict("This file was already uploaded.", hint="POST /file gives room for another one.")

        name, counted = f"{file_id}.{secrets.token_hex(4)}", await self._counted(row["owner"], chunks)
        # A name of its own: of two uploads by one link the row keeps one, and the other one's bytes go.
        await self.blobs.put(name, counted.chunks())  # before the row says so
        if not await self._db.write(access.complete_file, file_id, name, counted.size, content_type[:255]):
            await self.blobs.delete([name])
            raise Conflict("This file was already uploaded.", hint="POST /file gives room for another one.")

        return counted.size

    async def _counted(self, owner: str, chunks: AsyncIterator[bytes]) -> _Counted:
        """Bound an upload by the size of files, and by what the owner may still store."""
        return _Counted(chunks, self._max, await self._storage_room(owner))

    async def find(self, token: str) -> StoredFile:
        """Return the file that a download link leads to.

        Raises Unauthenticated, NotFound (no upload yet).
        """
        file_id = self._open(token, "get")
        row = await self._db.read(access.get_file, file_id)
        if row is None or row["size"] is None:
            raise NotFound("Nothing was uploaded to this file yet, or it has expired.")

        return StoredFile(
            row["filename"],
            row["content_type"] or "application/octet-stream",
            row["size"],
            row["stored_as"] or file_id,
        )

    async def read(self, stored: StoredFile, start: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes `start` to `end` (exclusive). Raises NotFound, StorageFailed."""
        try:
            return await self.blobs.get(stored.stored_as, start, end)
        except FileNotFoundError as error:
            raise NotFound("This file is gone.") from error

    async def expire(self, at_once: int = EXPIRED_AT_ONCE) -> int:
        """Remove expired files and remains of uploads that a crash ended.

        Returns the number of files.
        """
        count = 0
        while names := await self._db.write(lambda c: access.expired_files(c, now(), at_once)):
            # Rows first: bytes without a row are found by their age, a row without bytes is a broken link.
            await self.blobs.delete(names)
            count += len(names)

        # A day beyond any link, so that no upload that goes on is taken for what a crash left.
        await self.blobs.delete(await self.blobs.older(self._ttl + DAY))
        return count


def is_plain_name(name: str) -> bool:
    """Whether it is 1 to 255 bytes of printable text without slashes."""
    return (
        name.isprintable()
        and 0 < len(name.encode(errors="replace")) <= 255
        and not set(name) & {"/", "\\"}
        and name not in {".", ".."}
    )


class _Counted:
    """Chunks whose bytes are counted on their way. `room` is what the owner may still store, None for no quota."""

    def __init__(self, chunks: AsyncIterator[bytes], most: int, room: StorageRoom | None) -> None:
        self._chunks = chunks
        self._most = most
        self._room = room
        self.size = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises BodyTooLarge, StorageQuotaExceeded."""
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self._room is not None and self.size > self._room.free:
                raise self._room.refusal()
            if self.size > self._most:
                raise BodyTooLarge(
                    f"The file is larger than {self._most} bytes.",
                    hint="Raise CODEWORDS_MAX_FILE, or send less.",
                )
            yield chunk
