"""The runtime's own log on stderr: text for a terminal, else JSON lines; never contains a key."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

from codewords_mcp.common.frozen_imports import hidden
from codewords_mcp.common.log_stream import LogStream

# structlog would import rich for tracebacks in colour, which are not used here: 45 ms of a start that a person waits for.
with hidden("rich"):
    import structlog

_Event = MutableMapping[str, Any]
_SECRET_NAME = re.compile(
    r"(^|_)(authorization|cookie|token|password|secret|api_?key|key|nonce|credential)s?$", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"\b(cwk|cwotk|sk|pk|rk|ghp|gho|xox[abp]|AIza)[-_][A-Za-z0-9_\-]{6,}|(?i:\b(bearer|basic))\s+[\w\-.~+/=]{8,}"
)
_HIDDEN = "[hidden]"


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's log to `stream` (stderr). `level` is that of our own log.

    Libraries are heard from WARNING on: what they say below that is about themselves. A line that cannot be written is never
    an error of the code that logs it.
    """
    out = guard(sys.stderr if stream is None else stream)
    human = out.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if human else "iso", utc=not human),
        structlog.processors.UnicodeDecoder(),
    ]

    if human:
        finish: list[Any] = [
            hide_secrets,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        finish = [structlog.processors.format_exc_info, hide_secrets, structlog.processors.JSONRenderer()]

    structlog.configure(
        processors=[*shared, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", out)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def guard(stream: TextIO | None) -> LogStream:
    """`stream` as one that never raises; the same one if it is that already."""
    if isinstance(stream, LogStream):
        return stream
    return LogStream(stream)


def hide_secrets(_logger: Any, _method: str, event: _Event) -> _Event:
    """Mask values with secret names, and key-like text anywhere."""
    return {
        name: _HIDDEN if _SECRET_NAME.search(name) and value is not None else _hide(value)
        for name, value in event.items()
    }


def _hide(value: object) -> object:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(_HIDDEN, value)
    if isinstance(value, dict):
        return hide_secrets(None, "", value)  # pyright: ignore[reportUnknownArgumentType]  # keys of a log event are text
    if isinstance(value, list):
        return [_hide(item) for item in cast("list[object]", value)]
    return value
