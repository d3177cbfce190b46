"""Reads what a call used off the answer as it passes, without holding it up.

Nothing is parsed while bytes pass: the last piece that told usage is kept, and read at the end. One thing is ever
changed: OpenAI's streams tell usage only when asked, so the gateway asks, and takes out what its caller did not ask for.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from pydantic_core import from_json

from codewords_mcp.runtime.gateway.providers import Flavor
from codewords_mcp.runtime.gateway.usage import Json, Tokens, read_usage

WHOLE = 1 << 20
"""Bytes of a plain answer that are kept to be read whole; of a longer one only the end is, where usage stands."""
_END = 128 << 10
OPENED = 1 << 20
"""Bytes of a compressed answer that are opened at once."""
_ANY_ZLIB = 47
_LONGEST_EVENT = 32 << 20
_NULL_USAGE = re.compile(rb',\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,')
_TOLD = re.compile(rb'"usage(?:Metadata)?"\s*:\s*\{')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_ENDING = re.compile(
    rb'("finish_reason"\s*:\s*")|^event:\s*error|^data:\s*\{\s*"error"|"type"\s*:\s*"(?:error|response\.failed)"',
    re.MULTILINE,
)
_USAGE = re.compile(r'"(?:usage|usageMetadata)"\s*:\s*(?=\{)')


@dataclass(slots=True)
class Reading:
    """What an answer told. `tokens` is None where it told nothing; `events` counts its pieces, for an estimate.

    `whole`: the last word on usage was among what passed; a stream that ended early may have told a first word only.
    """

    model: str = ""
    tier: str = ""
    tokens: Tokens | None = None
    events: int = 0
    whole: bool = False
    answer: Json = field(default_factory=Json)
    """What told it, and why the answer ended."""
    failure: str = ""
    """The provider's name for an error that came inside the stream; seen where a call is watched."""
    body: bytes = b""
    """The answer itself, where it is to be told."""


class Tap(Protocol):
    """Sees every piece of an answer."""

    def feed(self, chunk: bytes) -> bytes:
        """What to pass on for this piece."""
        ...

    def rest(self) -> bytes:
        """What was held back and must still be passed on at the end."""
        ...

    def read(self) -> Reading:
        """What was told until now."""
        ...


@dataclass(slots=True)
class PlainTap:
    """For an answer in one piece of JSON."""

    flavor: Flavor
    _kept: list[bytes] = field(default_factory=list[bytes])
    _size: int = 0
    _cut: bool = False

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        self._kept.append(chunk)
        self._size += len(chunk)
        if self._size > WHOLE:
            end = b"".join(self._kept)[-_END:]
            self._kept, self._size, self._cut = [end], len(end), True
        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        return b""

    def read(self) -> Reading:
        """See `Tap`."""
        data = b"".join(self._kept)
        if self._cut:
            return _reading(self.flavor, _usage_at_the_end(data))
        parsed = _parsed(data)
        if isinstance(parsed, list):  # Gemini streams without `alt=sse` are a list of answers
            items = cast("list[Any]", parsed)
            parsed = next((item for item in reversed(items) if "usageMetadata" in _object(item)), None)
        return _reading(self.flavor, _object(parsed))


class StreamTap:
    """For server-sent events. `strip`: usage was asked for by us, and is taken out again."""

    def __init__(self, flavor: Flavor, *, strip: bool, watched: bool = False) -> None:
        self._flavor: Flavor = flavor
        self._strip = strip
        self._watched = watched
        self._finish = self._failure = b""
        self._held = b""
        self._separator = b""
        self._first = b""
        self._last = b""
        self._events = 0
        self._blind = False

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._blind:
            return chunk

        data = self._held + chunk if self._held else chunk
        if not self._separator:
            self._separator = _separator_of(data)
        if self._separator:
            end = data.rfind(self._separator)
        else:
            end = -1

        if end < 0:
            return self._hold(data, chunk)

        end += len(self._separator)
        block, self._held = data[:end], data[end:]
        self._events += block.count(self._separator)
        if self._watched and _ENDING.search(block):
            self._note_ending(block)
        if b'"usage' in block:
            block = self._look(block)
        if self._strip:
            return block

        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        held, self._held = self._held, b""
        if self._strip:
            return held
        return b""

    def _hold(self, data: bytes, chunk: bytes) -> bytes:
        self._held = data
        if len(data) > _LONGEST_EVENT:
            self._blind, self._held = True, b""
            if self._strip:
                return data
            return chunk
        if self._strip:
            return b""
        return chunk

    def _look(self, block: bytes) -> bytes:
        kept: list[bytes] = []
        for event in block.split(self._separator):
            if _TOLD.search(event):
                self._note(event)
                if self._strip and _NO_CHOICES.search(event):
                    continue
            kept.append(_NULL_USAGE.sub(b"", event, count=1) if self._strip else event)
        if self._strip:
            return self._separator.join(kept)
        return block

    def _note(self, event: bytes) -> None:
        if b'"message_start"' in event and self._flavor == "messages":
            self._first = event
        else:
            self._last = event

    def _note_ending(self, block: bytes) -> None:
        for event in block.split(self._separator):
            if ending := _ENDING.search(event):
                if ending[1]:
                    self._finish = event
                else:
                    self._failure = event

    def read(self) -> Reading:
        """See `Tap`."""
        first, last = _object(_parsed(_data_of(self._first))), _object(_parsed(_data_of(self._last)))
        if self._flavor == "messages":
            found, whole = _merged(first, last), bool(last)
        elif self._flavor == "responses":
            found, whole = _object(last.get("response")), bool(last)
        else:
            found, whole = last, bool(last) and (self._flavor != "generate" or _is_finished(last))

        reading = _reading(self._flavor, found)
        reading.events = self._events
        reading.whole = whole and reading.tokens is not None
        if self._finish:
            reading.answer = _object(_parsed(_data_of(self._finish)))
        if self._failure:
            reading.failure = _failure(_object(_parsed(_data_of(self._failure))))
        return reading


class Opener(Protocol):
    """Opens a compressed answer."""

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """What a piece holds, in pieces of at most `OPENED` bytes. Raises OpenerError for what cannot be opened."""
        ...


class OpenerError(Exception):
    """The answer is not compressed as it says."""


class ZlibOpener:
    """gzip, of several members too, and deflate; told apart by their head."""

    def __init__(self) -> None:
        self._opener = zlib.decompressobj(_ANY_ZLIB)

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Opener`."""
        while chunk:
            if self._opener.eof:
                self._opener = zlib.decompressobj(_ANY_ZLIB)
            try:
                yield self._opener.decompress(chunk, OPENED)
            except zlib.error:
                raise OpenerError from None
            chunk = self._opener.unconsumed_tail or self._opener.unused_data


class BrotliOpener:
    """brotli."""

    def __init__(self) -> None:
        import brotli  # pyright: ignore[reportMissingTypeStubs]

        library = cast("Any", brotli)
        self._opener: Any = library.Decompressor()
        self._failures: type[Exception] = library.error

    def open(self, chunk: bytes) -> Iterator[bytes]:
        """See `Opener`."""
        try:
            yield self._opener.process(chunk, output_buffer_limit=OPENED)
            while not self._opener.can_accept_more_data():
                yield self._opener.process(b"", output_buffer_limit=OPENED)
        except self._failures:
            raise OpenerError from None


OPENERS: dict[str, Callable[[], Opener]] = {
    "gzip": ZlibOpener, "x-gzip": ZlibOpener, "deflate": ZlibOpener, "br": BrotliOpener,
}  # fmt: skip


class CompressedTap:
    """Reads a compressed answer beside passing it on; where it cannot be opened, usage is not known."""

    def __init__(self, inner: Tap, opener: Opener | None) -> None:
        self._inner = inner
        self._opener = opener

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._opener is not None:
            try:
                for piece in self._opener.open(chunk):
                    self._inner.feed(piece)
            except OpenerError:
                self._opener = None
        return chunk

    def rest(self) -> bytes:
        """See `Tap`."""
        return b""

    def read(self) -> Reading:
        """See `Tap`."""
        return self._inner.read()


class KeepingTap:
    """Keeps what passes too, up to `WHOLE` bytes of it."""

    def __init__(self, inner: Tap) -> None:
        self._inner = inner
        self._kept: list[bytes] = []
        self._room = WHOLE

    def feed(self, chunk: bytes) -> bytes:
        """See `Tap`."""
        if self._room > 0:
            self._kept.append(chunk[: self._room])
            self._room -= len(chunk)
        return self._inner.feed(chunk)

    def rest(self) -> bytes:
        """See `Tap`."""
        return self._inner.rest()

    def read(self) -> Reading:
        """See `Tap`."""
        reading = self._inner.read()
        reading.body = b"".join(self._kept)
        return reading


def tap_for(
    flavor: Flavor, media: str, encoding: str, *, strip: bool, watched: bool = False, keeps: bool = False
) -> Tap:
    """The tap for an answer, by its content type and content encoding.

    `watched`: how it ended is read too; `keeps`: so is what it said.
    """
    encoding = encoding.strip().lower()
    compressed = encoding not in {"", "identity"}
    tap: Tap = PlainTap(flavor)
    if "event-stream" in media:
        tap = StreamTap(flavor, strip=strip and not compressed, watched=watched)
    if keeps:
        tap = KeepingTap(tap)
    if not compressed:
        return tap

    opener = OPENERS.get(encoding)
    return CompressedTap(tap, opener() if opener is not None else None)


def _separator_of(data: bytes) -> bytes:
    unix, dos = data.find(b"\n\n"), data.find(b"\r\n\r\n")
    if dos >= 0 and (unix < 0 or dos < unix):
        return b"\r\n\r\n"
    if unix >= 0:
        return b"\n\n"
    return b""


def _data_of(event: bytes) -> bytes:
    start = event.find(b"data:")
    if start >= 0:
        return event[start + 5 :].strip()
    return b""


def _parsed(data: bytes) -> Any:
    try:
        if data:
            return from_json(data)
        return None
    except ValueError:
        return None


def _object(value: Any) -> Json:
    if isinstance(value, dict):
        return cast("Json", value)
    return {}


def _merged(first: Json, last: Json) -> Json:
    """Anthropic tells input and cache at the start and the output, counted up, at the end."""
    message = _object(first.get("message"))
    told = {name: value for name, value in _object(last.get("usage")).items() if value is not None}
    if not message:
        return last
    return message | _object(last.get("delta")) | {"usage": _object(message.get("usage")) | told}


def _is_finished(event: Json) -> bool:
    candidates: Any = event.get("candidates")
    return isinstance(candidates, list) and any(
        "finishReason" in _object(candidate) for candidate in cast("list[Any]", candidates)
    )


def _usage_at_the_end(data: bytes) -> Json:
    """The last usage object of a long answer's end."""
    text = data.decode("utf-8", "replace")
    found = list(_USAGE.finditer(text))
    if not found:
        return {}

    import json

    try:
        usage, _ = json.JSONDecoder().raw_decode(text, found[-1].end())
    except ValueError:
        return {}

    return {"usage": usage, "usageMetadata": usage}


def _reading(flavor: Flavor, answer: Json) -> Reading:
    usage = _object(answer.get("usageMetadata" if flavor in {"generate", "embed"} else "usage"))
    model = answer.get("model") or answer.get("modelVersion")
    if flavor == "messages":
        tier = usage.get("speed")
    else:
        tier = answer.get("service_tier")

    tokens = read_usage(flavor, usage) if usage else None
    return Reading(
        model if isinstance(model, str) else "",
        tier if isinstance(tier, str) and tier not in {"auto", "standard"} else "",
        tokens,
        whole=tokens is not None,
        answer=answer,
    )


def _failure(event: Json) -> str:
    """The name of an error, of whichever provider."""
    error = _object(event.get("error")) or _object(_object(event.get("response")).get("error")) or event
    if isinstance(error.get("code"), str):
        told = error.get("code")
    else:
        told = error.get("status") or error.get("type")
    if isinstance(told, str) and told:
        return told
    return "error"
