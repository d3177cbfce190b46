"""Uploaded files in a folder, which several machines may share."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from pathlib import Path

from codewords_mcp.runtime.store.blobs import CHUNK, OURS
from codewords_mcp.runtime.store.database_errors import storage_error


class Folder:
    """See `Blobs`. `location` is the folder's path."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self.location = str(folder)

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """See `Blobs`."""
        # Renamed when it is whole, so that a reader never sees half of a file.
        part = self._folder / f"{name}.part"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in chunks:
                    await asyncio.to_thread(file.write, chunk)

            await asyncio.to_thread(part.rename, self._folder / name)
        except OSError as error:
            raise storage_error(error, self._folder) from error
        finally:
            with suppress(OSError):  # if the folder itself is missing, the error above says so
                await asyncio.to_thread(part.unlink, missing_ok=True)

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """See `Blobs`."""
        file = await asyncio.to_thread((self._folder / name).open, "rb")

        async def chunks() -> AsyncIterator[bytes]:
            with file:
                file.seek(start)
                remaining = end - start
                while remaining > 0 and (data := await asyncio.to_thread(file.read, min(CHUNK, remaining))):
                    remaining -= len(data)
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
