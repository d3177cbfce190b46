"""Protocol of a storage for the bytes of uploaded files.

The platform chooses the names, and each name is written once.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from typing import Protocol

CHUNK = 1 << 18
BUCKET = "s3://"
OURS = re.compile(r"[0-9a-f]{32}(\.[0-9a-f]{8}(\.part)?)?")
"""The form of names that the platform makes; other objects in the storage are left untouched."""


class Blobs(Protocol):
    """Bytes by name. Everything raises StorageFailed where the storage does not do as it should."""

    location: str
    """The location of the bytes, for people to read."""

    async def put(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        """Store the bytes, whole or not at all. Errors of `chunks` are raised."""
        ...

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Read bytes `start` to `end` (exclusive).

        Raises FileNotFoundError at the call; StorageFailed while reading on.
        """
        ...

    async def delete(self, names: Collection[str]) -> None:
        """Remove those that are there."""
        ...

    async def older(self, seconds: float) -> list[str]:
        """Names of ours that were written so long ago."""
        ...
