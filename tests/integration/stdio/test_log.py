"""The runtime's log: one JSON object a line where nobody reads along, and no key in it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.support.stdio_client import environment

from codewords_mcp.logging import configure

KEY = "cwk-0123456789abcdef0123456789abcdef"


@pytest.fixture
def out() -> io.StringIO:
    """Return the stream that the log is written to. `unchanged_logging` undoes the set-up."""
    stream = io.StringIO()
    configure("INFO", stream)
    # A logger that remembers this configuration would write to it in later tests too.
    structlog.configure(cache_logger_on_first_use=False)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.requirement("serve:log-without-keys")
def test_keys_are_hidden_by_name_and_by_look_wherever_they_are(out: io.StringIO) -> None:
    log = structlog.get_logger("test")
    log.info(
        "hello",
        api_key="x",
        token=KEY,
        note=f"used {KEY} here",
        nested={"password": "y", "list": [KEY]},
        key_id="k1",
    )
    (event,) = lines(out)
    assert KEY not in out.getvalue()
    assert event["api_key"] == event["token"] == event["nested"]["password"] == "[hidden]"
    assert event["note"] == "used [hidden] here"
    assert event["key_id"] == "k1"


@pytest.mark.requirement("serve:log-without-keys")
def test_a_traceback_is_one_line_and_its_keys_are_hidden_too(out: io.StringIO) -> None:
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError:
        structlog.get_logger("test").exception("it broke")
    (event,) = lines(out)
    assert "ValueError: refused [hidden]" in event["exception"]


@pytest.mark.requirement("serve:log-without-keys")
def test_libraries_are_heard_from_warning_on_in_the_same_form(out: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("chatter")
    logging.getLogger("some.library").warning("Authorization: Bearer %s", KEY)
    structlog.get_logger("test").debug("detail")
    (event,) = lines(out)
    assert event["logger"] == "some.library"
    assert event["level"] == "warning"
    assert KEY not in event["event"]


@pytest.mark.requirement("stdio:starts-fast")
def test_the_front_imports_nothing_heavy(tmp_path: Path) -> None:
    check = (
        "import sys, codewords_mcp.stdio.proxy; "
        "heavy = {'asyncio', 'email', 'http.client', 'ssl', 'urllib.parse', 'typing', 'pathlib', 'subprocess', 'mcp', 'pydantic', 'contextlib', "
        "'logging', 'dataclasses', 'inspect', 'json', 're', 'enum', 'collections', 'functools', 'threading', 'socket', 'signal'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-I", "-c", check],
        capture_output=True,
        encoding="utf-8",
        env=environment(tmp_path),
        check=True,
    )
    assert told.stdout.strip() == "[]"
