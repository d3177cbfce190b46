"""Where the bytes of uploaded files are: in a folder, or in a bucket (bucket.py). Names are ours, and each is written once."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from typing import Protocol

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.store.database import storage_error

CHUNK = 1 << 18
BUCKET = "s3://"
OURS = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{8}(\.part)?)?")
"""What a name of ours looks like; whatever else is there is left alone."""


class Blobs(Protocol):
    """Bytes by name. Everything raises StorageFailed where the storage does not do as it should."""

    place: str
    """Where they are, as people read it."""

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store them, whole or not at all; what `chunks` raises is raised."""
        ...

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes `start` to `end` (exclusive). Raises FileNotFoundError here; reading on raises StorageFailed."""
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Remove those that are there."""
        ...

    async def older(self, seconds: float) -> list[str]:
        """Names of ours that were written so long ago."""
        ...


def open_blobs(place: str, home: Path, endpoint: str | None) -> Blobs:
    """A folder, or `s3://bucket/prefix`. Raises InvalidInput, OSError."""
    if place.startswith(BUCKET):
        from codewords_mcp.runtime.store.bucket import Bucket

        return Bucket(place, endpoint)
    if "://" in place:
        raise InvalidInput(
            "CODEWORDS_FILES names a storage that is not known.",
            hint="Write a folder, or s3://bucket/prefix; other servers that speak S3 go by CODEWORDS_S3_ENDPOINT.",
        )
    return Folder(Path(place) if place else home / "files")


class Folder:
    """Files of a folder, which several machines may share."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.place = str(folder)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Blobs`."""
        part = self._folder / f"{name}.part"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(part.rename, self._folder / name)
        except OSError as error:
            raise storage_error(error, self._folder) from error
        finally:
            await asyncio.to_thread(part.unlink, missing_ok=True)

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `Blobs`."""
        file = await asyncio.to_thread((self._folder / name).open, "rb")

        async def chunks() -> AsyncIterator[bytes]:
            with file:
                file.seek(start)
                left = end - start
                while left > 0 and (data := await asyncio.to_thread(file.read, min(CHUNK, left))):
                    left -= len(data)
                    yield data

        return chunks()

    async def delete(self, names: Collection[str]) -> None:
        """See `Blobs`."""
        for name in names:
            await asyncio.to_thread((self._folder / name).unlink, missing_ok=True)

    async def older(self, seconds: float) -> list[str]:
        """See `Blobs`."""
        return await asyncio.to_thread(self._older, time.time() - seconds)

    def _older(self, before: float) -> list[str]:
        with os.scandir(self._folder) as entries:
            return [e.name for e in entries if OURS.fullmatch(e.name) and e.stat().st_mtime < before]
