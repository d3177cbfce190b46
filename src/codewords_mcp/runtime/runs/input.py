"""The stored input of a run: bounded, without the values of secrets and without headers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from codewords_mcp.runtime.model.run import RunRequest
from codewords_mcp.runtime.model.run_columns import InputEntry
from codewords_mcp.runtime.runs.request_headers import value_of
from codewords_mcp.runtime.secrets.scrub import Scrubber

KEPT_BYTES = 16 << 10
"""Bytes of a request body that the record keeps."""
REST_TIMEOUT_S = 1.0
"""Seconds that a run that never started waits for the rest of its request."""


class RequestReader:
    """Reads a request's body once, and remembers the beginning of it.

    `private`: the content is not for the record (passwords, tokens), only that there was one.
    """

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._start = bytearray()
        self._most = KEPT_BYTES
        self._size = 0
        self._started = False
        self._read_to_end = False
        self.private = False
        self.recorded: tuple[str, ...] = ()
        """Fields of a private answer that are no secret."""

    def keep(self, size: int) -> None:
        """Remember up to so many bytes, for `body`."""
        self._most = max(size, KEPT_BYTES)

    @property
    def body(self) -> bytes | None:
        """The whole body; None where it is private, not read to its end, or longer than is remembered."""
        length = value_of(self._request.headers, b"content-length")
        whole = self._read_to_end or (length is not None and length == str(self._size))
        if self.private or not whole or self._size > len(self._start):
            return None
        return bytes(self._start)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        self._started = True
        async for chunk in self._request.body:
            self._start += chunk[: self._most - len(self._start)]
            self._size += len(chunk)
            yield chunk
        self._read_to_end = True

    async def read_unsent(self) -> None:
        """Read the body of a run that ended before its program got it, as far as it is remembered. Never raises.

        Without it the record and a replay would have an empty input.
        """
        if self._started:
            return
        # The caller may be gone, or send nothing more.
        with suppress(Exception):
            async with asyncio.timeout(REST_TIMEOUT_S):
                async for _ in self.chunks():
                    if self._size > self._most:
                        break

    def record(self, scrubbers: Sequence[Scrubber] = ()) -> InputEntry:
        """The record's column, as JSON. `content` is None for what is private or no text."""
        request = self._request
        query = request.query.decode("latin-1")
        path = request.path + (f"?{query}" if query else "")

        if self.private:
            content = None
        else:
            content = _text(bytes(self._start[:KEPT_BYTES]), whole=self._size <= KEPT_BYTES)

        for scrubber in scrubbers:
            # Programs may be sent secrets in the query as well, which the path includes.
            path = scrubber.text(path)
            content = content and scrubber.text(content)

        return {
            "method": request.method,
            "path": path,
            "content_type": value_of(request.headers, b"content-type"),
            "content": content,
            "bytes": self._size,
            "truncated": self._size > KEPT_BYTES,
        }


def _text(data: bytes, *, whole: bool) -> str | None:
    try:
        text = data.decode("utf-8", "strict" if whole else "ignore")
    except UnicodeDecodeError:
        return None
    # PostgreSQL takes no NUL; of what is cut, a binary beginning is no text either.
    if not whole and "\x00" in text:
        return None
    return text.replace("\x00", "\ufffd")
