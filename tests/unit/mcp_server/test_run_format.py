"""A run's log as a tool tells it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

import pytest

from codewords_mcp.errors.remedies import set_secret
from codewords_mcp.mcp_server.run_result import RunView
from codewords_mcp.runtime.authoring.diagnose import diagnose
from codewords_mcp.runtime.model.run import LogLine, Run, RunError
from codewords_mcp.tools._runs import run_tool_result

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
    ("stderr", 'INFO:     127.0.0.1:0 - "POST / HTTP/1.1" 422 Unprocessable Entity'),
    ("stderr", "INFO:     Finished server process [2]"),
]


@pytest.mark.requirement("mcp:log-words")
def test_a_log_is_what_the_workflow_said_and_not_what_its_server_did() -> None:
    lines = [LogLine(created_at=NOW, stream=stream, message=text) for stream, text in SAID]
    run = Run(id="r", owner="o", status="succeeded", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    result = run_tool_result(RunView(run, lines))
    assert result.structured_content is not None
    assert result.structured_content["logs"] == [
        "fetching url=/a",
        "[warning] slow",
        '{"event": "no log entry"}',
        '{"event": ',
        "INFO:     Shutting down",
        "[stderr] INFO:     Shutting down the pumps",
    ]


@pytest.mark.requirement("runs:egress-recorded")
def test_a_run_says_what_it_reached_and_names_what_was_refused() -> None:
    reached = [
        {"host": "api.example.com", "port": 443, "allowed": True, "count": 3},
        {"host": "10.0.0.1", "port": 80, "allowed": False, "count": 1},
        *(
            {"host": f"n{number}.example.com", "port": 443, "allowed": True, "count": 1}
            for number in range(60)
        ),
    ]
    run = Run(
        id="r", owner="o", status="succeeded", created_at=datetime(2026, 1, 1, tzinfo=UTC),
        usage={"egress": {"policy": None, "reached": reached}},
    )  # fmt: skip
    result = run_tool_result(RunView(run))
    assert result.structured_content is not None
    told = result.structured_content["reached"]
    assert told[:2] == ["api.example.com:443", "10.0.0.1:80 (refused)"]
    assert (len(told), told[-1]) == (41, "22 more")
    text = result.content[0].model_dump()["text"]
    assert "- 10.0.0.1:80: refused" in text
    assert "api.example.com" not in text


@pytest.mark.requirement("mcp:next-step")
def test_after_an_interrupted_run_the_next_call_runs_it_again() -> None:
    error = RunError(code="interrupted", message="The runtime stopped.", origin="platform")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = Run(id="r", owner="o", service_id="w_1", status="interrupted", created_at=at, error=error)
    result = run_tool_result(RunView(run))
    assert result.structured_content is not None
    assert (
        result.structured_content["next"]
        == 'run_workflow(workflow_id="w_1", input=…) again, if it may be done twice'
    )
    assert result.content[0].text.endswith(f"Next: {result.structured_content['next']}")  # type: ignore[union-attr]


@pytest.mark.requirement("mcp:next-step")
@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "SMTP_URL"])
def test_after_a_run_that_lacked_a_credential_of_the_platform_the_next_call_sets_it(name: str) -> None:
    said = {"detail": f"{name} is not set. {set_secret(name).words}"}
    at = datetime(2026, 1, 1, tzinfo=UTC)
    run = Run(
        id="r", owner="o", service_id="w_1", status="failed", created_at=at, response_status=424,
        response_json=said, response_content=json.dumps(said),
    )  # fmt: skip
    found = diagnose(run, [], "", None, None, unset={name})
    result = run_tool_result(RunView(run, [], found))
    assert result.structured_content is not None
    assert result.structured_content["next"].startswith(f'set_secret(name="{name}")')
    text = result.content[0].text  # type: ignore[union-attr]
    assert f"Likely fix: {name} has no value yet" in text
    assert "edit_workflow" not in text
