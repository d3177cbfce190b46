"""Files that callers upload and download by signed links: bytes in the home, a row in the store."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from codewords_mcp.errors import BodyTooLarge, Conflict, InvalidInput, NotFound, Unauthenticated
from codewords_mcp.runtime.models import Caller, FileLinks
from codewords_mcp.runtime.store import access
from codewords_mcp.runtime.store.clock import now
from codewords_mcp.runtime.store.database import Database, storage_error

CHUNK = 1 << 18
SIGNING_KEY = "file_signing_key"


class Files:
    """Uploads and downloads. A link carries its right: file id, use, and time, signed."""

    def __init__(
        self, database: Database, folder: Path, signing_key: str, *, ttl: float, max_bytes: int
    ) -> None:
        self._db = database
        self._folder = folder
        self._ttl = ttl
        self._max = max_bytes
        self._signer = URLSafeTimedSerializer(signing_key, salt="files")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def create(self, caller: Caller, filename: str) -> FileLinks:
        """Room for one upload. Raises InvalidInput."""
        name = filename.strip()
        if (
            not name
            or len(name.encode()) > 255
            or not name.isprintable()
            or "/" in name
            or "\\" in name
            or name in {".", ".."}
        ):
            raise InvalidInput(
                "A file name is 1 to 255 bytes of printable text without slashes.",
                hint="Pass ?filename=report.csv, without folders.",
            )
        file_id, at = secrets.token_hex(16), now()
        row = {
            "id": file_id,
            "owner": caller.owner,
            "filename": name,
            "content_type": None,
            "size": None,
            "created_at": at,
            "expires_at": at + int(self._ttl * 1e6),
        }
        await self._db.write(lambda c: access.add_file(c, row))
        links = {use: f"/file/{self._signer.dumps([file_id, use])}" for use in ("put", "get")}
        return FileLinks(file_id=file_id, upload_path=links["put"], download_path=links["get"])

    def _open(self, token: str, use: Literal["put", "get"]) -> str:
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
        if allowed != use:
            raise Unauthenticated(
                "This file link is for the other direction.", hint="PUT to upload_uri, GET from download_uri."
            )
        return file_id

    async def write(self, token: str, chunks: AsyncIterator[bytes], content_type: str) -> int:
        """Store an upload, once, whole or not at all; its size in bytes.

        Raises Unauthenticated, Conflict (already uploaded), BodyTooLarge, StorageFailed.
        """
        file_id = self._open(token, "put")
        row = await self._db.read(lambda c: access.get_file(c, file_id))
        if row is None:
            raise Unauthenticated("This file link has expired.", hint="POST /file gives a new one.")
        if row["size"] is not None:
            raise Conflict("This file was already uploaded.", hint="POST /file gives room for another one.")
        part = self._folder / f"{file_id}.{secrets.token_hex(4)}.part"
        try:
            size = await self._receive(part, chunks)
            if not await self._db.write(lambda c: access.complete_file(c, file_id, size, content_type[:255])):
                raise Conflict(
                    "This file was already uploaded.", hint="POST /file gives room for another one."
                )
            await asyncio.to_thread(part.rename, self._folder / file_id)
            return size
        except OSError as error:
            raise storage_error(error, self._folder) from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def _receive(self, part: Path, chunks: AsyncIterator[bytes]) -> int:
        size = 0
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            async for chunk in chunks:
                size += len(chunk)
                if size > self._max:
                    raise BodyTooLarge(
                        f"The file is larger than {self._max} bytes.",
                        hint="Raise CODEWORDS_MAX_FILE, or send less.",
                    )
                await asyncio.to_thread(file.write, chunk)
        return size

    async def read(self, token: str) -> tuple[str, str, int, AsyncIterator[bytes]]:
        """(filename, content type, size, chunks). Raises Unauthenticated, NotFound (nothing uploaded yet)."""
        file_id = self._open(token, "get")
        row = await self._db.read(lambda c: access.get_file(c, file_id))
        if row is None or row["size"] is None:
            raise NotFound("Nothing was uploaded to this file yet, or it has expired.")
        try:
            file = await asyncio.to_thread((self._folder / file_id).open, "rb")
        except FileNotFoundError as error:
            raise NotFound("This file is gone.") from error

        async def chunks() -> AsyncIterator[bytes]:
            with file:
                while data := await asyncio.to_thread(file.read, CHUNK):
                    yield data

        return row["filename"], row["content_type"] or "application/octet-stream", row["size"], chunks()

    async def expire(self) -> int:
        """Remove what is past its time; how many."""
        ids = await self._db.write(lambda c: access.expired_files(c, now()))
        for file_id in ids:
            await asyncio.to_thread((self._folder / file_id).unlink, missing_ok=True)
        return len(ids)
