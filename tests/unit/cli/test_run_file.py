"""A binary answer in the report of a run."""

from __future__ import annotations

from typing import Any

import pytest

from codewords_mcp.cli._run_report import answer, file, print_run

pytestmark = pytest.mark.requirement("runs:answer-files")
LINK = "http://127.0.0.1:8765/file/token"


def _record(**of_file: Any) -> dict[str, Any]:
    found = {"contentType": "image/png", "size": 12_345, "downloadUri": None, "problem": None} | of_file
    return {
        "id": "r", "status": "succeeded", "responseStatus": 200, "createdAt": "2026-01-01T00:00:00.000000Z",
        "serviceId": "w_1", "version": 1, "usage": {}, "responseFile": found, "responseJson": None,
        "responseContent": "%PDF-1.4", "error": None,
    }  # fmt: skip


def test_the_report_has_type_size_and_link_and_not_the_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    record = _record(downloadUri=LINK)
    print_run(record, {})
    out = capsys.readouterr().out
    assert f"image/png, 12,345 bytes: {LINK}" in out
    assert "%PDF" in answer(record)
    assert "%PDF" not in out


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("too_large", "CODEWORDS_MAX_FILE"),
        ("store_failed", "the file store did not take it"),
        ("gone", "CODEWORDS_FILE_TTL"),
        ("storing", "ask again in a moment"),
        ("busy", "too many answers"),
    ],
)
def test_without_a_link_the_report_says_why(problem: str, told: str) -> None:
    assert told in file(_record(problem=problem))
