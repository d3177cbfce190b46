"""What is too long to be shown is shown in parts, which say how to read on."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from mcp_types import CallToolResult, TextContent

from codewords_mcp.common.bounded_json import JsonValue
from codewords_mcp.errors import InvalidInput
from codewords_mcp.mcp_server.paging import WINDOW, at_path, text_window
from codewords_mcp.mcp_server.run_format import format_run
from codewords_mcp.mcp_server.run_result import RunView, run_result
from codewords_mcp.runtime.model.run import LogLine, Run
from codewords_mcp.tools._runs import log_tool_result, run_tool_result

pytestmark = pytest.mark.requirement("mcp:parts")
AT = datetime(2026, 1, 1, tzinfo=UTC)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\x00" * 3_000).decode()


def run_of(value: Any, **more: Any) -> Run:
    return Run(
        id="r", owner="local", service_id="w_00000001", status="succeeded", created_at=AT, response_status=200,
        response_json=value, **more,
    )  # fmt: skip


def _words(result: CallToolResult) -> str:
    first = result.content[0]
    assert isinstance(first, TextContent)
    return first.text


def test_a_long_result_is_read_to_its_end_by_the_offsets_that_the_parts_tell() -> None:
    value = {"rows": [f"row {n} with words" for n in range(2_000)]}
    whole, read, offset = json.dumps(value, separators=(",", ":")), "", 0
    for _ in range(20):
        told = run_result(RunView(run_of(value), offset=offset))
        read += told.result
        words = format_run(told)
        if told.next_offset is None:
            break
        assert f"{len(whole)} characters in all" in words
        assert f'get_run(run_id="r", offset={told.next_offset})' in words
        offset = told.next_offset
    assert read == whole


def test_the_text_of_a_middling_result_says_where_it_goes_on() -> None:
    words = format_run(run_result(RunView(run_of(["some words"] * 800))))
    assert f"offset={WINDOW}" in words


def test_a_path_leads_into_the_result_and_a_wrong_one_says_what_is_there() -> None:
    value: JsonValue = {"items": [{"name": "first"}, {"name": "second"}]}
    assert run_result(RunView(run_of(value), path="items.1.name")).result == "second"
    for path, told in (
        ("items.5", "a list of 2"),
        ("nothing", "the keys items"),
        ("items.0.name.x", "a single value"),
    ):
        with pytest.raises(InvalidInput) as refused:
            at_path(value, path)
        assert told in refused.value.hint


def test_a_picture_is_shown_as_one_and_its_base64_is_not_told() -> None:
    told = run_tool_result(RunView(run_of({"page": {"shot": PNG}})))
    assert [part.type for part in told.content] == ["text", "text", "image"]
    assert PNG[:200] not in _words(told)
    assert told.structured_content is not None
    assert "base64" in told.structured_content["result"]["page"]["shot"]
    assert run_result(RunView(run_of({"shot": PNG}), path="shot")).result == PNG


def test_an_answer_that_is_no_text_says_so() -> None:
    assert "not text" in format_run(run_result(RunView(run_of(None))))


def test_a_log_is_read_by_parts() -> None:
    lines = [
        LogLine(created_at=f"2026-01-01T00:00:{n % 60:02}.{n:06}Z", stream="stdout", message=f"line {n}")
        for n in range(500)
    ]
    first = _words(log_tool_result(run_of(1), lines, 0))
    found = re.search(r'path="@log", offset=(\d+)\)', first)
    assert found is not None
    second = _words(log_tool_result(run_of(1), lines, int(found[1])))
    assert "line 0\n" in first
    assert "line 0\n" not in second


def test_parts_are_cut_from_cleaned_text_so_that_offsets_hold() -> None:
    dirty = "a\u200b" * WINDOW * 2
    first = text_window(dirty)
    assert (first.total, first.next) == (WINDOW * 2, WINDOW)
