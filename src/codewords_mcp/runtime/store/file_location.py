"""The storage of uploaded files that CODEWORDS_FILES names."""

from __future__ import annotations

from pathlib import Path

from codewords_mcp.errors import InvalidInput
from codewords_mcp.runtime.store.blobs import BUCKET, Blobs
from codewords_mcp.runtime.store.folder import Folder


def open_blobs(location: str, home: Path, endpoint: str | None) -> Blobs:
    """A folder, or `s3://bucket/prefix`. Raises InvalidInput, OSError."""
    if location.startswith(BUCKET):
        from codewords_mcp.runtime.store.bucket import Bucket

        return Bucket(location, endpoint)
    if "://" in location:
        raise InvalidInput(
            "CODEWORDS_FILES names a storage that is not known.",
            hint="Write a folder, or s3://bucket/prefix; other servers that speak S3 go by CODEWORDS_S3_ENDPOINT.",
        )

    return Folder(Path(location) if location else home / "files")
