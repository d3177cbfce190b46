"""Recordings as bytes: one JSON document of heads, and the bodies behind it.

The form is versioned (`FORMAT`), since recordings are exported to other homes. Reading trusts nothing: sizes are bounded,
and what is not a recording raises `DamagedRecording`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, Final, cast, get_args

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.exchanges import (
    Exchange,
    Headers,
    Outcome,
    RecordedRequest,
    Recording,
    RecordingChannel,
    RunMessage,
    UnreadConnection,
)

FORMAT: Final = 1
MAX_DECODED: Final = 64 << 20
"""Bytes of a recording before compression. What claims more is damaged, or made to fill the memory."""

_LENGTH: Final = 8
_OUTCOMES: Final = frozenset(get_args(Outcome))
_CHANNELS: Final = frozenset(get_args(RecordingChannel))

Inline = Callable[[bytes], bytes | str]
"""Returns the bytes to write for a body, or the name under which it is stored elsewhere."""


class DamagedRecording(ValueError):
    """The bytes are no recording, or not the whole of one. The message says which."""


def encode(recording: Recording, body: Inline = bytes) -> bytes:
    """The recording as compressed bytes. `body` may give a name in a body's place."""
    bodies = bytearray()

    def place(data: bytes | None) -> int | str | None:
        if data is None:
            return None
        stored = body(data)
        if isinstance(stored, str):
            return stored
        bodies.extend(stored)
        return len(stored)

    heads = {
        "format": FORMAT,
        "run": recording.run_id,
        "service": recording.service_id,
        "version": recording.version,
        "created_at": recording.created_at,
        "status": recording.status,
        "error": recording.error,
        "seconds": round(recording.seconds, 6),
        "cost": recording.cost,
        "truncated": recording.truncated,
        # In the order in which the reader takes the bodies: they follow one another without names.
        "request": _message(recording.request, place),
        "response": _message(recording.response, place),
        "exchanges": [_exchange(one, place) for one in recording.exchanges],
        "connections": [
            [one.host, one.port, _ms(one.started), _ms(one.ended), one.sent, one.received, one.why]
            for one in recording.connections
        ],
    }
    text = json.dumps(heads, separators=(",", ":")).encode()
    return zlib.compress(len(text).to_bytes(_LENGTH, "big") + text + bodies, 6)


def decode(data: bytes, body: Callable[[str], bytes | None] | None = None) -> Recording:
    """The recording of these bytes. `body` finds what is stored elsewhere; None where it is gone.

    Raises DamagedRecording.
    """
    raw = _inflate(data)
    end = _LENGTH + int.from_bytes(raw[:_LENGTH], "big")
    try:
        heads = cast("dict[str, Any]", json.loads(raw[_LENGTH:end]))
        if heads["format"] != FORMAT:
            raise DamagedRecording(other_format(heads["format"]))
        return _Reader(raw, end, body).recording(heads)
    except DamagedRecording:
        raise
    # Bytes of an import, or of a damaged disk, may be JSON of any other shape.
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise DamagedRecording("it is damaged") from error


def other_format(found: object) -> str:
    """Says that a recording has another format than is read here."""
    # Of a document from outside nothing but a number is repeated.
    if isinstance(found, int) and 0 <= found < 1000:
        named = f"format {found}"
    else:
        named = "another format"
    return f"it has {named}, and this version reads format {FORMAT}"


def encode_body(body: bytes) -> bytes:
    """A body that is stored by itself."""
    return zlib.compress(body, 6)


def decode_body(data: bytes) -> bytes:
    """The body of these bytes. Raises DamagedRecording."""
    return _inflate(data)


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, MAX_DECODED)
    except zlib.error as error:
        raise DamagedRecording("it is damaged") from error
    if inflater.unconsumed_tail:
        raise DamagedRecording("it is longer than a recording may be")
    if not inflater.eof:
        raise DamagedRecording("it is cut off")
    return raw


def _message(message: RunMessage, place: Callable[[bytes | None], int | str | None]) -> list[Any]:
    return [
        message.method,
        message.target,
        message.status,
        _headers(message.headers),
        place(message.body),
    ]


def _exchange(one: Exchange, place: Callable[[bytes | None], int | str | None]) -> list[Any]:
    request = one.request
    # All bytes of a response are one body: sizes and times of its chunks are told apart from it.
    times = [[_ms(at), len(chunk)] for at, chunk in one.chunks]
    return [
        one.number,
        [request.channel, request.method, request.url, _headers(request.headers), request.writes],
        place(request.body),
        [one.outcome, _ms(one.started), _ms(one.ended), one.status, one.size, one.whole, one.note],
        usage_as_json(one.usage),
        _headers(one.headers),
        times,
        place(one.body),
    ]


def _headers(headers: Headers) -> list[str]:
    # Latin-1 turns each byte into one character and back: values of headers need not be UTF-8.
    return [text.decode("latin-1") for pair in headers for text in pair]


def usage_as_json(usage: CallUsage | None) -> list[Any] | None:
    """Usage of a model call as JSON."""
    if usage is None:
        return None
    return [usage.tokens, usage.cost, usage.estimated, usage.cached, usage.model]


def usage_of_json(fields: list[Any] | None) -> CallUsage | None:
    """The inverse of `usage_as_json`. Raises ValueError, TypeError or AttributeError for other JSON."""
    if fields is None:
        return None
    tokens, cost, estimated, cached, model = fields
    counts = {str(name): int(count) for name, count in tokens.items()}
    dollars = None if cost is None else float(cost)
    return CallUsage(counts, dollars, bool(estimated), bool(cached), str(model))


def _ms(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    return round(seconds * 1000, 2)


class _Reader:
    def __init__(self, raw: bytes, at: int, body: Callable[[str], bytes | None] | None) -> None:
        self._raw = raw
        self._at = at
        self._body = body

    def recording(self, heads: dict[str, Any]) -> Recording:
        # In the order in which they were written: bodies follow one another.
        request = self._message(heads["request"])
        response = self._message(heads["response"])
        exchanges = tuple(self._exchange(one) for one in heads["exchanges"])
        connections = tuple(
            UnreadConnection(
                str(host), int(port), _s(at), _s_or_none(end), int(sent), int(received), str(why)
            )
            for host, port, at, end, sent, received, why in heads["connections"]
        )
        return Recording(
            str(heads["run"]),
            str(heads["service"]),
            int(heads["version"]),
            int(heads["created_at"]),
            str(heads["status"]),
            request,
            response,
            exchanges,
            connections,
            str(heads["error"]),
            float(heads["seconds"]),
            float(heads["cost"]),
            str(heads["truncated"]),
        )

    def _message(self, fields: list[Any]) -> RunMessage:
        method, target, status, headers, body = fields
        return RunMessage(str(method), str(target), int(status), _pairs(headers), self._take(body))

    def _exchange(self, fields: list[Any]) -> Exchange:
        number, request, request_body, about, used, answered, times, body = fields
        channel, method, url, headers, writes = request
        outcome, started, ended, status, size, whole, note = about
        if channel not in _CHANNELS or outcome not in _OUTCOMES:
            raise DamagedRecording("it is damaged")

        recorded = RecordedRequest(
            channel, str(method), str(url), _pairs(headers), self._take(request_body), bool(writes)
        )
        found = self._take(body)
        return Exchange(
            int(number),
            recorded,
            outcome,
            _s(started),
            _s_or_none(ended),
            int(status),
            _pairs(answered),
            _cut(found or b"", times),
            int(size),
            # A body that is stored elsewhere may have been removed since.
            bool(whole) and found is not None,
            str(note),
            usage_of_json(used),
        )

    def _take(self, stored: Any) -> bytes | None:
        if stored is None:
            return None
        if isinstance(stored, str):
            if self._body is None:
                return None
            return self._body(stored)

        end = self._at + int(stored)
        if int(stored) < 0 or end > len(self._raw):
            raise DamagedRecording("it is cut off")
        data, self._at = self._raw[self._at : end], end
        return data


def _cut(body: bytes, times: list[Any]) -> tuple[tuple[float, bytes], ...]:
    chunks: list[tuple[float, bytes]] = []
    at = 0
    for ms, length in times:
        chunks.append((_s(ms), body[at : at + int(length)]))
        at += int(length)
    return tuple(chunks)


def _pairs(flat: list[str]) -> Headers:
    encoded = [text.encode("latin-1") for text in flat]
    return list(zip(encoded[::2], encoded[1::2], strict=True))


def _s(ms: float) -> float:
    return float(ms) / 1000


def _s_or_none(ms: float | None) -> float | None:
    return None if ms is None else _s(ms)
