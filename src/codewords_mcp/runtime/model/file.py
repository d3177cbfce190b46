"""Uploaded files."""

from __future__ import annotations

from dataclasses import dataclass

from codewords_mcp.runtime.model.base import Model


class FileLinks(Model):
    """Paths (no host) of a file's signed upload and download links."""

    file_id: str
    upload_path: str
    download_path: str


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file; `size` in bytes, `stored_as` the name under which it is stored."""

    filename: str
    content_type: str
    size: int
    stored_as: str
