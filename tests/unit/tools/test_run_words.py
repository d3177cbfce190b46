"""A run's log as a tool tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest

from codewords_mcp.runtime.models import LogLine, Run
from codewords_mcp.tools._runs import answer_run

NOW = "2026-01-01T00:00:00.000000Z"
SAID: list[tuple[Literal["stdout", "stderr"], str]] = [
    ("stderr", "INFO:     Started server process [2]"),
    ("stderr", "INFO:     Waiting for application startup."),
    ("stderr", '{"event": "fetching", "level": "info", "timestamp": "2026-01-01T00:00:00Z", "url": "/a"}'),
    ("stderr", '{"event": "slow", "level": "warning", "timestamp": "2026-01-01T00:00:01Z"}'),
    ("stdout", '{"event": "no log entry"}'),
    ("stdout", '{"event": '),
    ("stdout", "INFO:     Shutting down"),
    ("stderr", "INFO:     Shutting down the pumps"),
    ("stderr", "INFO:     Finished server process [2]"),
]


@pytest.mark.requirement("mcp:log-words")
def test_a_log_is_what_the_workflow_said_and_not_what_its_server_did() -> None:
    lines = [LogLine(created_at=NOW, stream=stream, message=text) for stream, text in SAID]
    run = Run(id="r", owner="o", status="succeeded", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    result = answer_run(run, lines)
    assert result.structured_content is not None
    assert result.structured_content["logs"] == [
        "fetching url=/a",
        "[warning] slow",
        '{"event": "no log entry"}',
        '{"event": ',
        "INFO:     Shutting down",
        "[stderr] INFO:     Shutting down the pumps",
    ]
