"""The workflow's log: one JSON object a line on stderr, at the level of `LOGLEVEL`."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    logger: structlog.stdlib.BoundLogger

_METHODS = ("debug", "info", "warning", "warn", "error", "critical", "exception", "fatal")


def level() -> int:
    """`LOGLEVEL` as a number; INFO where it is absent or no level."""
    return logging.getLevelNamesMapping().get(os.environ.get("LOGLEVEL", "").strip().upper(), logging.INFO)


def configure() -> None:
    """Set up structlog and the root logger, unless the script has done so."""
    # A script that set up its own logging before keeps it.
    if not logging.getLogger().handlers:
        logging.basicConfig(level=level())
        # One line a call would bury the workflow's own.
        for chatty in ("httpx", "httpcore"):
            logging.getLogger(chatty).setLevel(max(level(), logging.WARNING))

    if structlog.is_configured():
        return

    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=_tolerant(structlog.make_filtering_bound_logger(level())),
        logger_factory=_stderr_logger,
    )


def _stderr_logger(*_: object) -> structlog.PrintLogger:
    # stderr is looked up for each logger: the interpreter that imported this may not be the one that runs the script.
    return structlog.PrintLogger(sys.stderr)


def _dumps(value: Any, **options: Any) -> str:
    # structlog passes a `default` of its own, which writes `repr`; here `str` is wanted.
    options.pop("default", None)
    return json.dumps(value, default=str, ensure_ascii=False, **options)


def _tolerant(base: type[Any]) -> type[Any]:
    """A logger class whose methods also take a field named `event`, as `event_`, instead of failing on it."""

    def method(name: str) -> Callable[..., Any]:
        inner = getattr(base, name)

        # Positional only, so that a field may have any name; structlog's own methods take `event` by name.
        def log(self: Any, event: Any = None, /, *args: Any, **fields: Any) -> object:
            if "event" in fields:
                fields["event_"] = fields.pop("event")
            return inner(self, event, *args, **fields)

        log.__name__ = name
        return log

    return type("WorkflowLogger", (base,), {name: method(name) for name in _METHODS if hasattr(base, name)})


def __getattr__(name: str) -> object:
    if name == "logger":
        # Not at import, so that a script can configure structlog first.
        configure()
        return structlog.get_logger("codewords_client")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
