"""What a line of a program's log says about itself: its level, and the fields of a structured one.

Read off when a line is shown, not when it is stored: a flood of lines must not cost more than their writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from codewords_mcp.bounded_json import parse_or_none

Line = tuple[str, str, str]
"""created_at, stream, message: a line where a model for each would cost more than the rest."""
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
"""A line of the workflow's server about its start or end, on stderr."""
_SERVER_ACCESS = re.compile(r'INFO: +[\d.]+:\d+ - "[A-Z]+ \S+ HTTP/1\.1" \d{3}.*')
"""A line of the workflow's server about a request that the run's record tells of; uvicorn writes it to stdout by default."""
LONGEST = 16 << 10
"""Characters of a line that is looked into."""


def level_of(message: str) -> str | None:
    """One of `LEVELS`, where the line says one."""
    if message.startswith("{"):
        fields = fields_of(message) or {}
        named = next((fields[key] for key in _LEVEL_KEYS if isinstance(fields.get(key), str)), "")
        return _NAMES.get(named.lower())

    if message.startswith("Traceback (most recent call last)"):
        return "error"

    found = _PLAIN.match(message)
    if found:
        return _NAMES.get((found["head"] or found["bracket"]).lower())

    return None


def fields_of(message: str) -> dict[str, Any] | None:
    """The fields of a line that is one JSON object, as structlog writes them."""
    if not message.startswith("{") or len(message) > LONGEST:
        return None
    found = parse_or_none(message)
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    return None


def is_at_least(level: str | None, least: str) -> bool:
    """Whether a line of this level is of `least` or above; one that says none counts as `info`."""
    return LEVELS.index(level or "info") >= LEVELS.index(least)


def readable(message: str) -> tuple[str | None, str] | None:
    """The level and the text of a line that a logger wrote as JSON, without its time; None for any other line.

    The fields follow the event as `name=value`; an exception follows on lines of its own.
    """
    fields = fields_of(message)
    if fields is None:
        return None

    event = next((key for key in _EVENT_KEYS if isinstance(fields.get(key), str)), None)
    if event is None or not any(key in fields for key in (*_TIME_KEYS, *_LEVEL_KEYS)):
        return None

    shown = {
        key: value
        for key, value in fields.items()
        if key not in {event, *_TIME_KEYS, *_LEVEL_KEYS, "exception"}
    }
    text = " ".join([fields[event], *(f"{key}={_compact(value)}" for key, value in shown.items())])
    exception = fields.get("exception")
    if isinstance(exception, str) and exception:
        text += "\n" + exception.rstrip("\n")
    return level_of(message), text


def _compact(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def is_server_line(stream: str, message: str) -> bool:
    """Whether the workflow's HTTP server says here that it starts, ends, or has answered a request."""
    if stream == "platform" or not message.startswith("INFO: "):
        return False
    text = message.strip()
    if _SERVER_ACCESS.fullmatch(text):
        return True
    return stream == "stderr" and _SERVER.fullmatch(text) is not None


Tracing = frozenset[str]
"""The streams on which a traceback goes on."""


def levelled(lines: Iterable[Line], tracing: Tracing = frozenset()) -> Iterator[tuple[Line, str | None]]:
    """Each line with its level. The lines of a traceback, to the exception's last word, have the level of its first.

    `tracing` is what `tracing_after` gave for the lines before.
    """
    for line in lines:
        level, tracing = _step(line, tracing)
        yield line, level


def tracing_after(lines: Sequence[Line], tracing: Tracing = frozenset()) -> Tracing:
    """The streams on which a traceback goes on after these lines."""
    for line in lines:
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
