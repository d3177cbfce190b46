"""The part of a trace that is stored of an attempt: its phases, and its requests without queries, headers and bodies.

It stays as long as the run's record, also where the recording with its bodies is removed before that.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from codewords_mcp.runtime.model.provider import CallUsage
from codewords_mcp.runtime.recording.codec import usage_as_json, usage_of_json
from codewords_mcp.runtime.recording.exchange_log import ExchangeLog
from codewords_mcp.runtime.recording.exchanges import (
    Exchange,
    Headers,
    Outcome,
    RecordingChannel,
    UnreadConnection,
)

MAX_TARGET: Final = 300
"""Characters of a target that are kept."""
MAX_NOTE: Final = 200
_MAX_DECODED: Final = 16 << 20
_CHANNELS: Final = frozenset(get_args(RecordingChannel))
_OUTCOMES: Final = frozenset(get_args(Outcome))


@dataclass(frozen=True, slots=True)
class CallTrace:
    """One request. Times are seconds since the attempt's log began; `run_id` is the run that it started."""

    number: int
    channel: RecordingChannel
    method: str
    target: str
    """Host and path."""
    outcome: Outcome
    started: float
    ended: float | None
    status: int = 0
    sent: int | None = None
    received: int = 0
    note: str = ""
    run_id: str = ""
    usage: CallUsage | None = None


@dataclass(frozen=True, slots=True)
class AttemptTrace:
    """One attempt of a run. `began` is the time of its log in µs since 1970; `timings` are those of the record.

    `recorded`: all of its requests are in `calls` and `connections`, but for those that `truncated` gives the reason of.
    """

    number: int
    began: int
    timings: dict[str, float]
    calls: tuple[CallTrace, ...] = ()
    connections: tuple[UnreadConnection, ...] = ()
    truncated: str = ""
    recorded: bool = True


def trace_attempt(number: int, log: ExchangeLog, timings: Mapping[str, float]) -> AttemptTrace:
    """The attempt as its log has it until now."""
    return AttemptTrace(
        number,
        log.began,
        dict(timings),
        tuple(_call(exchange) for exchange in log.exchanges(bodies=False)),
        log.connections(),
        log.missing,
    )


def trace_exchanges(number: int, began: int, exchanges: Iterable[Exchange], truncated: str) -> AttemptTrace:
    """An attempt of which only its exchanges are known."""
    return AttemptTrace(number, began, {}, tuple(_call(exchange) for exchange in exchanges), (), truncated)


def encode_attempts(attempts: list[AttemptTrace]) -> bytes:
    """Attempts as they are stored."""
    # Lists and not objects: of small calls the names of the fields would be most of the bytes.
    stored = [
        [
            one.number,
            one.began,
            one.timings,
            [_as_json(call) for call in one.calls],
            [
                [c.host, c.port, _ms(c.started), _ms(c.ended), c.sent, c.received, c.why]
                for c in one.connections
            ],
            one.truncated,
            one.recorded,
        ]
        for one in attempts
    ]
    return zlib.compress(json.dumps(stored, separators=(",", ":")).encode(), 6)


def decode_attempts(data: bytes | None) -> list[AttemptTrace]:
    """The inverse of `encode_attempts`; none for bytes that are something else."""
    if not data:
        return []
    try:
        inflater = zlib.decompressobj()
        stored = cast("list[Any]", json.loads(inflater.decompress(data, _MAX_DECODED)))
        return [_attempt(*fields) for fields in stored]
    except (zlib.error, ValueError, TypeError, AttributeError, RecursionError):
        return []


def _call(exchange: Exchange) -> CallTrace:
    request = exchange.request
    if request.body is not None:
        sent = len(request.body)
    else:
        sent = _length(request.headers)
    return CallTrace(
        exchange.number,
        request.channel,
        request.method[:20],
        _target(request.url)[:MAX_TARGET],
        exchange.outcome,
        exchange.started,
        exchange.ended,
        exchange.status,
        sent,
        exchange.size,
        exchange.note[:MAX_NOTE],
        _started_run(exchange) if request.channel == "call" else "",
        exchange.usage,
    )


def _target(url: str) -> str:
    """Host and path of an address: queries and names of users may be private."""
    # By hand: what stands in a secret's place makes some addresses invalid.
    rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("://")[2]
    authority, slash, path = rest.partition("/")
    return authority.rpartition("@")[2] + slash + path


def _started_run(exchange: Exchange) -> str:
    value = _value(exchange.headers, b"x-request-id")
    if len(value) <= 40 and value.replace("-", "").isalnum():
        return value
    return ""


def _length(headers: Headers) -> int | None:
    value = _value(headers, b"content-length")
    if value.isdecimal() and len(value) < 20:
        return int(value)
    return None


def _value(headers: Headers, header: bytes) -> str:
    for name, value in headers:
        if name.lower() == header:
            return value.decode("latin-1")
    return ""


def _as_json(call: CallTrace) -> list[Any]:
    return [
        call.number, call.channel, call.method, call.target, call.outcome, _ms(call.started), _ms(call.ended),
        call.status, call.sent, call.received, call.note, call.run_id, usage_as_json(call.usage),
    ]  # fmt: skip


def _attempt(
    number: Any, began: Any, timings: Any, calls: Any, connections: Any, truncated: Any, recorded: Any
) -> AttemptTrace:
    return AttemptTrace(
        int(number),
        int(began),
        {str(name): float(ms) for name, ms in timings.items()},
        tuple(_of_json(*fields) for fields in calls),
        tuple(
            UnreadConnection(
                str(host), int(port), _s(at), _s_or_none(end), int(sent), int(received), str(why)
            )
            for host, port, at, end, sent, received, why in connections
        ),
        str(truncated),
        bool(recorded),
    )


def _of_json(
    number: Any, channel: Any, method: Any, target: Any, outcome: Any, started: Any, ended: Any,
    status: Any, sent: Any, received: Any, note: Any, run_id: Any, used: Any,
) -> CallTrace:  # fmt: skip
    if channel not in _CHANNELS or outcome not in _OUTCOMES:
        raise ValueError("a call of no known kind")
    return CallTrace(
        int(number), channel, str(method), str(target), outcome, _s(started), _s_or_none(ended), int(status),
        None if sent is None else int(sent), int(received), str(note), str(run_id), usage_of_json(used),
    )  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    if seconds is None:
        return None
    return round(seconds * 1000, 2)


def _s(ms: Any) -> float:
    return float(ms) / 1000


def _s_or_none(ms: Any) -> float | None:
    if ms is None:
        return None
    return _s(ms)
