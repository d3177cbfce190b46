"""What a run's record has of its answer."""

from __future__ import annotations

import pytest

from codewords_mcp.runtime.runs.results import CapturedBody, WorkflowResponse, response_record


@pytest.mark.requirement("runs:record")
@pytest.mark.parametrize(
    "kind", [b"application/json", b"Application/JSON; charset=UTF-8", b"application/LD+JSON"]
)
def test_an_answer_is_read_as_json_however_its_media_type_is_spelt(kind: bytes) -> None:
    captured = CapturedBody(100)
    captured.add(b'{"total": 3}')
    found = response_record(WorkflowResponse(200, [(b"content-type", kind)]), captured, whole=True)
    assert found.get("response_json") == {"total": 3}
