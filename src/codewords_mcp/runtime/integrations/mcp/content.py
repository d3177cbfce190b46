"""Answers of tools: text and data in bounds, and everything else as files of the home with links."""

from __future__ import annotations

import base64
import binascii
import json
import mimetypes
import re
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.runtime.store.files import FileStore

if TYPE_CHECKING:
    from mcp_types import CallToolResult

MAX_TEXT = 200_000
"""Characters of an answer's text, or of its data as JSON; what is longer becomes a file."""
MAX_FILES = 20
_BINARY = "application/octet-stream"
_TYPE = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")


@dataclass(slots=True)
class ToolAnswer:
    """A tool's answer. `files` have `name`, `mime_type`, `size` and `url`; `links` are the server's."""

    text: str = ""
    data: Any = None
    failed: bool = False
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    links: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    @property
    def value(self) -> JsonValue:
        """The answer as one value: its data if there is any, else its text."""
        if self.data is not None:
            return self.data
        return self.text or None


class AnswerReader:
    """Reads answers, and stores their files for the caller. `address` begins the files' links."""

    def __init__(self, files: FileStore, address: Callable[[], str]) -> None:
        self._files = files
        self._address = address

    async def read(self, owner: str, result: CallToolResult, maker: str | None) -> ToolAnswer:
        """Read an answer. `maker` is the workflow that called. Raises BodyTooLarge, StorageFailed."""
        from mcp_types import BlobResourceContents

        answer = ToolAnswer(failed=bool(result.is_error))
        texts: list[str] = []
        for block in result.content:
            match block.type:
                case "text":
                    texts.append(block.text)
                case "image" | "audio":
                    await self._add_blob(owner, maker, answer, block.type, block.data, block.mime_type)
                case "resource_link":
                    answer.links.append({"name": block.name[:200], "uri": str(block.uri)[:2_000]})
                case "resource":
                    if isinstance(block.resource, BlobResourceContents):
                        name = str(block.resource.uri).rstrip("/").rpartition("/")[2]
                        kind = block.resource.mime_type
                        await self._add_blob(owner, maker, answer, name, block.resource.blob, kind)
                    else:
                        texts.append(block.resource.text)

        answer.text = await self._bounded(owner, maker, answer, "answer.txt", "\n".join(texts))
        data = result.structured_content
        if data is not None:
            as_json = json.dumps(data, ensure_ascii=False)
            if len(as_json) <= MAX_TEXT:
                answer.data = data
            else:
                await self._bounded(owner, maker, answer, "answer.json", as_json)
        return answer

    async def _bounded(self, owner: str, maker: str | None, answer: ToolAnswer, name: str, text: str) -> str:
        if len(text) <= MAX_TEXT:
            return text
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        # The text of a server may hold lone surrogates, which UTF-8 does not encode.
        await self._store(owner, maker, answer, name, text.encode("utf-8", "replace"), kind)
        return f"{text[:2_000]}… ({len(text) - 2_000} more characters in the file {name})"

    async def _add_blob(
        self, owner: str, maker: str | None, answer: ToolAnswer, name: str, data: str, mime_type: str | None
    ) -> None:
        try:
            decoded = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            return
        if mime_type and _TYPE.fullmatch(mime_type.lower()):
            kind = mime_type.lower()
        else:
            kind = _BINARY
        await self._store(owner, maker, answer, name, decoded, kind)

    async def _store(
        self, owner: str, maker: str | None, answer: ToolAnswer, name: str, data: bytes, kind: str
    ) -> None:
        if len(answer.files) >= MAX_FILES:
            return

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        file_id = secrets.token_hex(16)
        filename = _file_name(name, kind)
        await self._files.add(owner, file_id, filename, chunks(), content_type=kind, maker=maker)
        _, path = await self._files.owned(owner, file_id, maker=maker)
        answer.files.append(
            {
                "file_id": file_id,
                "name": filename,
                "mime_type": kind,
                "size": len(data),
                "url": f"{self._address()}{path}",
            }
        )


def _file_name(name: str, kind: str) -> str:
    """A plain name with an ending for its type; the server's own name may be any text."""
    bare = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:100] or "file"
    if "." in bare:
        return bare
    return bare + (mimetypes.guess_extension(kind) or ".bin")
