"""Files behind signed links."""

from __future__ import annotations

from collections.abc import AsyncIterator

from codewords_mcp.runtime.api.container import Container
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.file import FileLinks, StoredFile


class FileApi:
    """Files that callers and workflows exchange by signed links."""

    def __init__(self, container: Container) -> None:
        self._container = container

    async def create(self, caller: Caller, filename: str) -> FileLinks:
        """Reserve a file, with signed links. Raises InvalidInput for names with path parts."""
        maker = self._container.authorities.of(caller).workflow
        return await self._container.files.create(caller, filename, maker=maker)

    async def write(self, token: str, chunks: AsyncIterator[bytes], content_type: str) -> int:
        """Store an upload by its signed token, once; its size. Raises Unauthenticated, Conflict, BodyTooLarge, StorageFailed."""
        return await self._container.files.write(token, chunks, content_type)

    async def find(self, token: str) -> StoredFile:
        """Find the file of a signed download token. Raises Unauthenticated, NotFound."""
        return await self._container.files.find(token)

    async def read(self, stored: StoredFile, start: int, end: int) -> AsyncIterator[bytes]:
        """Read its bytes `start` to `end` (exclusive). Raises NotFound, StorageFailed."""
        return await self._container.files.read(stored, start, end)
