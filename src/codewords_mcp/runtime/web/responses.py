"""Responses of the HTTP client: complete, and bounded after decompression."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from codewords_mcp.common.bounded_json import parse
from codewords_mcp.common.inflater import DamagedCompression, Inflater
from codewords_mcp.errors import UpstreamFailed


@dataclass(frozen=True, slots=True)
class WebResponse:
    """A complete response. `headers` have lower-case names; `url` is the final address."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON. Raises UpstreamFailed."""
        try:
            return parse(self.body)
        except (ValueError, RecursionError):
            raise UpstreamFailed(
                "The called service did not respond with JSON.",
                upstream_status=self.status,
                hint="Try again later.",
            ) from None


M = TypeVar("M", bound=BaseModel)


def retry_after(response: WebResponse, usual: int = 30) -> int:
    """Seconds until an API may be called again, by its header; at most an hour."""
    seconds = response.headers.get("retry-after", "")
    # isdigit alone takes digits of other scripts.
    if seconds.isascii() and seconds.isdigit():
        return max(1, min(int(seconds), 3600))
    return usual


def error_text(response: WebResponse, field: str) -> str:
    """An API's own error text: data, bounded, never part of our message."""
    try:
        text = parse(response.body)[field]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return "".join(letter for letter in str(text) if letter.isprintable())[:500]


def read_response(model: type[M], response: WebResponse) -> M:
    """An API's response as a model. Raises UpstreamFailed if it does not fit."""
    try:
        return model.model_validate(response.json())
    except ValidationError:
        raise UpstreamFailed(
            "The called service responded in an unexpected format.",
            upstream_status=response.status,
        ) from None


async def read_body(headers: Mapping[str, str], chunks: AsyncIterator[bytes], max_bytes: int) -> bytes:
    """Read a body whole; `chunks` are as they came. Raises UpstreamFailed where it is larger, or damaged."""
    declared = headers.get("content-length", "")
    # Refused before anything is read; the header may hold any number of digits.
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > max_bytes:
        raise _too_large(max_bytes)

    open_chunk = _opener(headers.get("content-encoding", ""))
    body = bytearray()

    try:
        # As it came: a small body can grow to gigabytes, so it is opened here in bounded pieces.
        async for chunk in chunks:
            for piece in open_chunk(chunk):
                body += piece
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
    except DamagedCompression:
        raise UpstreamFailed("The compressed response is damaged.") from None
    return bytes(body)


def _too_large(max_bytes: int) -> UpstreamFailed:
    return UpstreamFailed(
        f"The response is larger than {max_bytes >> 20} MiB, which is the limit.", hint="Ask for less of it."
    )


def _unchanged(chunk: bytes) -> Iterable[bytes]:
    return (chunk,)


def _opener(encoding: str) -> Callable[[bytes], Iterable[bytes]]:
    """The function that opens each chunk of a body in bounded pieces."""
    match encoding.strip().lower():
        case "" | "identity":
            return _unchanged
        case "gzip" | "x-gzip" | "deflate" as coding:
            return Inflater(coding).feed
        case _:
            raise UpstreamFailed("The response is compressed in a way that was not requested.")
