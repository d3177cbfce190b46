"""What is needed of a storage for the bytes of uploaded files. Names are ours, and each is written once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection
from typing import Protocol

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
