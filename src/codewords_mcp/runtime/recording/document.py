"""Recordings as JSON documents that people read, keep in a repository, and bring to another home.

Credentials are redacted: what a header or a query says by its name to be a key, a token, a cookie or a signature. Values of
secrets are not on a recording in the first place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast, get_args
from urllib.parse import unquote

from codewords_mcp.common.bounded_json import JsonObject, JsonValue
from codewords_mcp.runtime.recording.codec import DamagedRecording
from codewords_mcp.runtime.recording.exchanges import (
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

T = TypeVar("T")
KIND: Final = "codewords recording"
FORMAT: Final = 1

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
        raise DamagedRecording(
            f"it has format {fields.get('format')}, and this version reads format {FORMAT}"
        )

    try:
        return Recording(
            str(fields["run_id"])[:40],
            str(fields["service_id"])[:80],
            int(fields["version"]),
            int(fields["created_at"]),
            str(fields["status"])[:16],
            _read_message(fields["request"]),
            _read_message(fields["response"]),
            tuple(_read_exchange(number, one) for number, one in enumerate(fields["exchanges"])),
            tuple(_read_connection(one) for one in fields["connections"]),
            str(fields["error"]),
            float(fields["seconds"]),
            float(fields["cost"]),
            str(fields["truncated"]),
        )
    except DamagedRecording:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise DamagedRecording("a part of it is missing or is not as it should be") from error


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
        str(fields["method"]),
        str(fields["target"]),
        int(fields["status"]),
        _read_headers(fields["headers"]),
        _read_body(fields["body"]),
    )


def _read_exchange(number: int, value: Any) -> Exchange:
    fields = _object(value)
    response = _object(fields["response"])
    body = _read_body(response["body"]) or b""
    chunks: list[tuple[float, bytes]] = []
    at = 0
    for offset, length in response["chunks"]:
        chunks.append((float(offset), body[at : at + int(length)]))
        at += int(length)
    if at != len(body):
        # Edited by hand: the times of its pieces are not known any more.
        chunks = [(chunks[0][0] if chunks else 0.0, body)]

    return Exchange(
        number,
        RecordedRequest(
            _one_of(fields["channel"], _CHANNELS),
            str(fields["method"]),
            str(fields["url"]),
            _read_headers(fields["headers"]),
            _read_body(fields["body"]),
            bool(fields["writes"]),
        ),
        _one_of(fields["outcome"], _OUTCOMES),
        float(fields["started"]),
        _optional(float, fields["ended"]),
        int(response["status"]),
        _read_headers(response["headers"]),
        tuple(chunks),
        int(response["size"]),
        bool(response["whole"]),
        str(fields["note"]),
    )


def _read_connection(value: Any) -> UnreadConnection:
    one = _object(value)
    return UnreadConnection(
        str(one["host"]),
        int(one["port"]),
        float(one["started"]),
        _optional(float, one["ended"]),
        int(one["sent"]),
        int(one["received"]),
        str(one["why"]),
    )


def _read_headers(value: Any) -> Headers:
    return [(str(name).encode("latin-1"), str(text).encode("latin-1")) for name, text in value]


def _read_body(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    return base64.b64decode(str(_object(value)["base64"]), validate=True)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DamagedRecording("a part of it is not an object")
    return cast("dict[str, Any]", value)


def _one_of(value: object, names: tuple[T, ...]) -> T:
    for name in names:
        if name == value:
            return name
    raise DamagedRecording(f"{str(value)[:40]!r} is none of {', '.join(map(str, names))}")


def _optional(read: Callable[[Any], float], value: Any) -> float | None:
    return None if value is None else read(value)
