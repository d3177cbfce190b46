"""Recordings as JSON documents that people read, keep in a repository, and bring to another home.

Credentials are redacted: what a header or a query says by its name to be a key, a token, a cookie or a signature. Values of
secrets are not on a recording in the first place.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, TypeVar, cast, get_args
from urllib.parse import unquote

from codewords_mcp.common.bounded_json import JsonObject, JsonValue, UnacceptableJson, has_more_values, parse
from codewords_mcp.runtime.recording.codec import DamagedRecording, other_format
from codewords_mcp.runtime.recording.exchange_log import MAX_CONNECTIONS, MAX_EXCHANGES
from codewords_mcp.runtime.recording.exchanges import (
    MAX_BODY_BYTES,
    REDACTED,
    Exchange,
    Headers,
    Outcome,
    RecordedRequest,
    Recording,
    RecordingChannel,
    RunMessage,
    UnreadConnection,
)
from codewords_mcp.runtime.recording.recorder import MAX_CHUNKS

T = TypeVar("T")
KIND: Final = "codewords recording"
FORMAT: Final = 1
MAX_BYTES: Final = 48 << 20
"""Bytes of a document that is read."""
MAX_VALUES: Final = 2_000_000
"""Values of a document that is read. More would take a hundred times their bytes of memory."""
_MAX_VERSION: Final = (1 << 31) - 1
_MAX_TIME: Final = 253_402_300_799_000_000
"""The end of the year 9999, which is the end of dates too."""
_MAX_SECONDS: Final = 1e9
_MAX_SIZE: Final = 1 << 50
_MAX_STATUS: Final = 999
_MAX_HEADERS: Final = 2000
_MAX_METHOD: Final = 24
_MAX_ADDRESS: Final = 64 << 10
_MAX_TEXT: Final = 500

_CREDENTIAL: Final = re.compile(
    r"authorization|cookie|token|secret|passw|signature|credential|session|(^|[-_])(api[-_]?)?key([-_]|$)|^sig$",
    re.IGNORECASE,
)
_PLACEHOLDER: Final = "[secret "
_CHANNELS: Final[tuple[RecordingChannel, ...]] = get_args(RecordingChannel)
_OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)


def to_document(recording: Recording) -> JsonObject:
    """The recording as JSON, redacted."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "run_id": recording.run_id,
        "service_id": recording.service_id,
        "version": recording.version,
        "created_at": recording.created_at,
        "status": recording.status,
        "error": recording.error,
        "seconds": recording.seconds,
        "cost": recording.cost,
        "truncated": recording.truncated,
        "request": _message(recording.request),
        "response": _message(recording.response),
        "exchanges": [_exchange(one) for one in recording.exchanges],
        "connections": [
            {
                "host": one.host,
                "port": one.port,
                "started": one.started,
                "ended": one.ended,
                "sent": one.sent,
                "received": one.received,
                "why": one.why,
            }
            for one in recording.connections
        ],
    }


def from_document(document: JsonValue) -> Recording:
    """Read a document. Raises DamagedRecording."""
    fields = _object(document)
    if fields.get("kind") != KIND:
        raise DamagedRecording("it is no recording that was exported here")
    if fields.get("format") != FORMAT:
        raise DamagedRecording(other_format(fields.get("format")))

    try:
        return Recording(
            # As long as the columns that these go into.
            _text(fields["run_id"], 40),
            _text(fields["service_id"], 80),
            _count(fields["version"], _MAX_VERSION),
            _count(fields["created_at"], _MAX_TIME),
            _text(fields["status"], 16),
            _read_message(fields["request"]),
            _read_message(fields["response"]),
            tuple(
                _read_exchange(number, one)
                for number, one in enumerate(_rows(fields["exchanges"], MAX_EXCHANGES, "requests"))
            ),
            tuple(
                _read_connection(one) for one in _rows(fields["connections"], MAX_CONNECTIONS, "connections")
            ),
            _text(fields["error"], 100),
            _number(fields["seconds"]),
            _number(fields["cost"]),
            _text(fields["truncated"], _MAX_TEXT),
        )
    except DamagedRecording:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise DamagedRecording("a part of it is missing or is not as it should be") from error


def read_document(data: bytes) -> Recording:
    """Read a document's bytes. Raises DamagedRecording."""
    if len(data) > MAX_BYTES:
        raise DamagedRecording(f"it is longer than {MAX_BYTES >> 20} MiB")
    if has_more_values(data, MAX_VALUES):
        raise DamagedRecording(f"it has more than {MAX_VALUES:,} values")
    try:
        # Of two equal names nobody knows which one counts.
        document: JsonValue = parse(data, unique_keys=True)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DamagedRecording(f"it is no JSON, or cut off: {error.msg} at {where}") from None
    except UnacceptableJson as error:
        raise DamagedRecording(str(error)) from None
    except ValueError:
        raise DamagedRecording("it is no text in UTF-8") from None
    return from_document(document)


def redacted_url(url: str) -> str:
    """The address without the values of query parameters that are credentials by their names."""
    before, mark, rest = url.partition("?")
    query, fragment_mark, fragment = rest.partition("#")
    return before + mark + "&".join(map(_redacted_pair, query.split("&"))) + fragment_mark + fragment


def _redacted_pair(pair: str) -> str:
    # Cut as text: decoding and encoding again would change what is not redacted.
    name, mark, value = pair.partition("=")
    if mark and _is_credential(unquote(name), value):
        return f"{name}={REDACTED}"
    return pair


def _is_credential(name: str, value: str) -> bool:
    # What stands for a secret tells nothing, and a replay needs it.
    return _CREDENTIAL.search(name) is not None and _PLACEHOLDER not in value


def _message(message: RunMessage) -> JsonObject:
    return {
        "method": message.method,
        "target": redacted_url(message.target),
        "status": message.status,
        "headers": _headers(message.headers),
        "body": _body(message.body),
    }


def _exchange(one: Exchange) -> JsonObject:
    request = one.request
    return {
        "channel": request.channel,
        "method": request.method,
        "url": redacted_url(request.url),
        "headers": _headers(request.headers),
        "body": _body(request.body),
        "writes": request.writes,
        "outcome": one.outcome,
        "started": one.started,
        "ended": one.ended,
        "note": one.note,
        "response": {
            "status": one.status,
            "headers": _headers(one.headers),
            "body": _body(one.body),
            # Where a body came in pieces, their times and sizes.
            "chunks": [[at, len(chunk)] for at, chunk in one.chunks],
            "size": one.size,
            "whole": one.whole,
        },
    }


def _headers(headers: Headers) -> list[JsonValue]:
    shown: list[JsonValue] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        shown.append([name, REDACTED if _is_credential(name, value) else value])
    return shown


def _body(body: bytes | None) -> JsonValue:
    """A text as it is, other bytes in base64 as `{"base64": …}`."""
    if body is None:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _read_message(value: Any) -> RunMessage:
    fields = _object(value)
    return RunMessage(
        _text(fields["method"], _MAX_METHOD),
        _text(fields["target"], _MAX_ADDRESS),
        _count(fields["status"], _MAX_STATUS),
        _read_headers(fields["headers"]),
        _read_body(fields["body"]),
    )


def _read_exchange(number: int, value: Any) -> Exchange:
    fields = _object(value)
    response = _object(fields["response"])
    body = _read_body(response["body"]) or b""
    chunks: list[tuple[float, bytes]] = []
    at = 0
    for offset, length in _rows(response["chunks"], MAX_CHUNKS, "pieces of a response"):
        end = at + _count(length, MAX_BODY_BYTES)
        chunks.append((_number(offset), body[at:end]))
        at = end
    if at != len(body):
        # Edited by hand: the times of its pieces are not known any more.
        chunks = [(chunks[0][0] if chunks else 0.0, body)]

    return Exchange(
        number,
        RecordedRequest(
            _one_of(fields["channel"], _CHANNELS),
            _text(fields["method"], _MAX_METHOD),
            _text(fields["url"], _MAX_ADDRESS),
            _read_headers(fields["headers"]),
            _read_body(fields["body"]),
            bool(fields["writes"]),
        ),
        _one_of(fields["outcome"], _OUTCOMES),
        _number(fields["started"]),
        _optional(fields["ended"]),
        _count(response["status"], _MAX_STATUS),
        _read_headers(response["headers"]),
        tuple(chunks),
        _count(response["size"], _MAX_SIZE),
        bool(response["whole"]),
        _text(fields["note"], _MAX_TEXT),
    )


def _read_connection(value: Any) -> UnreadConnection:
    one = _object(value)
    return UnreadConnection(
        _text(one["host"], 255),
        _count(one["port"], 65535),
        _number(one["started"]),
        _optional(one["ended"]),
        _count(one["sent"], _MAX_SIZE),
        _count(one["received"], _MAX_SIZE),
        _text(one["why"], _MAX_TEXT),
    )


def _read_headers(value: Any) -> Headers:
    return [
        (str(name).encode("latin-1"), str(text).encode("latin-1"))
        for name, text in _rows(value, _MAX_HEADERS, "headers of a message")
    ]


def _read_body(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        body = value.encode()
    else:
        body = base64.b64decode(str(_object(value)["base64"]), validate=True)
    if len(body) > MAX_BODY_BYTES:
        raise DamagedRecording(f"a body in it is longer than {MAX_BODY_BYTES >> 20} MiB")
    return body


def _rows(value: Any, limit: int, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    rows = cast("list[Any]", value)
    if len(rows) > limit:
        raise DamagedRecording(f"it has more than {limit:,} {what}")
    return rows


def _text(value: Any, limit: int) -> str:
    return str(value)[:limit]


def _count(value: Any, limit: int) -> int:
    count = int(value)
    if not 0 <= count <= limit:
        raise DamagedRecording("a number in it is larger or smaller than a recording can have")
    return count


def _number(value: Any) -> float:
    number = float(value)
    # Times of the program's start come before the run's.
    if not -_MAX_SECONDS <= number <= _MAX_SECONDS:
        raise DamagedRecording("a number in it is larger or smaller than a recording can have")
    return number


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedRecording("a part of it is not an object")
    return cast("dict[str, Any]", value)


def _one_of(value: object, names: tuple[T, ...]) -> T:
    for name in names:
        if name == value:
            return name
    raise DamagedRecording(f"a value in it is none of {', '.join(map(str, names))}")


def _optional(value: Any) -> float | None:
    return None if value is None else _number(value)
