"""Messages of a reply's body, by its media type: JSON, server-sent events, Amazon's event stream, Connect's envelopes."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from codewords_testing.fidelity.exchange import SentReply

_ENVELOPE = struct.Struct(">BI")
_END = 2


class MalformedBody(Exception):
    """A body that is not of its media type."""


@dataclass(frozen=True, slots=True)
class BodyMessage:
    """One message of a body. `kind` is the name of an event, "" where the format has none; `value` is its JSON."""

    kind: str
    value: object

    @property
    def is_error(self) -> bool:
        """Whether the value is an object with the field `error`."""
        value = cast("dict[str, object]", self.value)
        return isinstance(self.value, dict) and "error" in value


def messages(exchange: SentReply) -> Iterator[BodyMessage]:
    """Split the body into its messages. Raises MalformedBody."""
    media = exchange.media.partition(";")[0].strip().lower()
    parse = _PARSERS.get(media)
    if parse is None:
        raise MalformedBody(f"the media type {media} is none of the service's")
    if exchange.body or media != "application/json":
        yield from parse(exchange)


def is_stream(exchange: SentReply) -> bool:
    """Whether the reply is a stream of events."""
    return exchange.media.partition(";")[0].strip().lower() in {
        "text/event-stream",
        "application/vnd.amazon.eventstream",
        "application/connect+json",
    }


def _load(text: bytes | str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise MalformedBody(f"it is not JSON: {error}") from None


def _json(exchange: SentReply) -> Iterator[BodyMessage]:
    if not exchange.cut:
        yield BodyMessage("", _load(exchange.body))


def _events(exchange: SentReply) -> Iterator[BodyMessage]:
    """https://html.spec.whatwg.org/multipage/server-sent-events.html, with data of one line."""
    blocks = exchange.body.replace(b"\r\n", b"\n").split(b"\n\n")
    if blocks.pop().strip() and not exchange.cut:
        raise MalformedBody("the last event has no empty line after it")
    for block in blocks:
        fields = dict(line.decode().split(": ", 1) for line in block.split(b"\n") if b": " in line)
        data = fields.get("data", "")
        # OpenAI's mark of the end.
        if data != "[DONE]":
            yield BodyMessage(fields.get("event", ""), _load(data))


def _amazon(exchange: SentReply) -> Iterator[BodyMessage]:
    from botocore.eventstream import EventStreamBuffer, ParserError  # pyright: ignore[reportMissingTypeStubs]

    buffer: Any = cast("Any", EventStreamBuffer)()
    buffer.add_data(exchange.body)
    try:
        for event in buffer:
            yield BodyMessage(event.headers[":event-type"], _load(event.payload))
    except ParserError as error:
        raise MalformedBody(f"it is no event stream: {error}") from None


def _connect(exchange: SentReply) -> Iterator[BodyMessage]:
    """https://connectrpc.com/docs/protocol#streaming-response."""
    rest = exchange.body
    while len(rest) >= _ENVELOPE.size:
        flags, size = _ENVELOPE.unpack_from(rest)
        if len(rest) < _ENVELOPE.size + size:
            break
        content, rest = rest[_ENVELOPE.size : _ENVELOPE.size + size], rest[_ENVELOPE.size + size :]
        yield BodyMessage("end" if flags & _END else "message", _load(content or b"{}"))
    if rest and not exchange.cut:
        raise MalformedBody("the last envelope is not whole")


_PARSERS: dict[str, Callable[[SentReply], Iterator[BodyMessage]]] = {
    "application/json": _json,
    "text/event-stream": _events,
    "application/vnd.amazon.eventstream": _amazon,
    "application/connect+json": _connect,
}
