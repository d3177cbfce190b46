"""The level and the structured fields of a program's log line.

They are parsed when a line is shown, not when it is stored: a flood of lines must cost no more than
writing them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from codewords_mcp.common.bounded_json import parse_or_none

Line = tuple[str, str, str]
"""created_at, stream, message. A tuple: a model object for each line would cost more than all other
work on it.
"""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
LEVELS = ("debug", "info", "warning", "error", "critical")
_NAMES = {
    "trace": "debug", "debug": "debug", "info": "info", "notice": "info", "warn": "warning", "warning": "warning",
    "error": "error", "err": "error", "exception": "error", "critical": "critical", "fatal": "critical",
}  # fmt: skip
_PLAIN = re.compile(
    # uvicorn's and the standard library's `INFO:     …`, structlog's `2026-01-31T09:30:00Z [info     ] …`
    r"(?:(?P<head>[A-Z]{4,8}):\s|(?:[\d\-T:.,Z+ ]{8,35})?\[(?P<bracket>[A-Za-z]{4,9}) *\])"
)
_LEVEL_KEYS = ("level", "levelname", "severity", "log_level")
_TIME_KEYS = ("timestamp", "time", "ts", "asctime")
_EVENT_KEYS = ("event", "message", "msg")
_BAD = frozenset({"error", "critical"})
_RAISES = "Exception in ASGI application"
"""uvicorn's line before a traceback."""
_OF_TRACEBACK = re.compile(
    r"(?:[\w.]+(?:Error|Exception|Exit|Timeout|Interrupt|Warning|Group)\b.*|[A-Za-z_][\w.]*: .*"
    r"|During handling of the above exception.*|The above exception was the direct cause.*)"
)
_SERVER = re.compile(
    r"INFO: +(Started server process \[\d+\]|Waiting for application (startup|shutdown)\.|"
    r"Application (startup|shutdown) complete\.|Uvicorn running on .*|Shutting down|Finished server process \[\d+\])"
)
"""Lines of the workflow's HTTP server about its start and end, on stderr."""
_SERVER_ACCESS = re.compile(r'INFO: +[\d.]+:\d+ - "[A-Z]+ \S+ HTTP/1\.1" \d{3}.*')
"""The server's access line. The run's record has the same facts. uvicorn writes it to stdout by
default.
"""
MAX_PARSED = 16 << 10
"""Maximum characters of a line that is parsed."""


def is_stamp(text: str) -> bool:
    """Whether a text is a time as lines have it: fixed width, so that text order is time order."""
    return _STAMP.fullmatch(text) is not None


def level_of(message: str) -> str | None:
    """One of `LEVELS`, or None if the line names no level."""
    if message.startswith("{"):
        fields = fields_of(message) or {}
        named = next((fields[key] for key in _LEVEL_KEYS if isinstance(fields.get(key), str)), "")
        return _NAMES.get(named.lower())

    if message.startswith("Traceback (most recent call last)"):
        return "error"

    match = _PLAIN.match(message)
    if match:
        return _NAMES.get((match["head"] or match["bracket"]).lower())

    return None


def fields_of(message: str) -> dict[str, Any] | None:
    """The fields of a line that is one JSON object, as structlog writes them. None for any other
    line.
    """
    if not message.startswith("{") or len(message) > MAX_PARSED:
        return None
    parsed = parse_or_none(message)
    if isinstance(parsed, dict):
        return cast("dict[str, Any]", parsed)
    return None


def is_at_least(level: str | None, minimum: str) -> bool:
    """Whether the level is `minimum` or above. None counts as `info`."""
    return LEVELS.index(level or "info") >= LEVELS.index(minimum)


def readable(message: str) -> tuple[str | None, str] | None:
    """Level and text of a JSON log line, without its time. None for any other line.

    The fields follow the event as `name=value`. An exception follows on lines of its own.
    """
    fields = fields_of(message)
    if fields is None:
        return None

    event = next((key for key in _EVENT_KEYS if isinstance(fields.get(key), str)), None)
    if event is None or not any(key in fields for key in (*_TIME_KEYS, *_LEVEL_KEYS)):
        return None

    extra = {
        key: value
        for key, value in fields.items()
        if key not in {event, *_TIME_KEYS, *_LEVEL_KEYS, "exception"}
    }
    text = " ".join([fields[event], *(f"{key}={_compact(value)}" for key, value in extra.items())])
    exception = fields.get("exception")
    if isinstance(exception, str) and exception:
        text += "\n" + exception.rstrip("\n")
    return level_of(message), text


def _compact(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def is_server_line(stream: str, message: str) -> bool:
    """Whether the workflow's HTTP server logs its start, its end or an answered request."""
    if stream == "platform" or not message.startswith("INFO: "):
        return False
    text = message.strip()
    if _SERVER_ACCESS.fullmatch(text):
        return True
    return stream == "stderr" and _SERVER.fullmatch(text) is not None


Tracing = frozenset[str]
"""Streams that are within a traceback."""


def levelled(lines: Iterable[Line], tracing: Tracing = frozenset()) -> Iterator[tuple[Line, str | None]]:
    """Each line with its level. All lines of a traceback have the level of its first line.

    `tracing` is the result of `tracing_after` for the lines before.
    """
    for line in lines:
        level, tracing = _step(line, tracing)
        yield line, level


def tracing_after(lines: Sequence[Line], tracing: Tracing = frozenset()) -> Tracing:
    """The streams that are within a traceback after these lines."""
    for line in lines:
        # Other lines can't begin a traceback, and parsing them would cost more than storing them.
        if tracing or line[2].find("Traceback") >= 0 or line[2].find(_RAISES) >= 0:
            tracing = _step(line, tracing)[1]
    return tracing


def _step(line: Line, tracing: Tracing) -> tuple[str | None, Tracing]:
    _, stream, message = line
    level = level_of(message)
    if "Traceback (most recent call last)" in message or (
        level in _BAD and message.rstrip().endswith(_RAISES)
    ):
        return level or "error", tracing | {stream}
    if level is not None:
        return level, tracing - {stream}
    if stream not in tracing:
        return None, tracing
    # On stderr what follows may be more of the exception's message, which can be any text.
    if stream == "stderr" or not message or message[0] in " \t|+" or _OF_TRACEBACK.match(message):
        return "error", tracing

    return None, tracing - {stream}
