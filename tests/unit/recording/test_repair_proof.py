"""The proof of a repair says what became of the failing run, of the good ones, and which writes the fix leads to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.recording.helpers import recording

from codewords_mcp.runtime.model.replay import ReplayDifference, ReplayedRun
from codewords_mcp.runtime.recording.exchanges import RunMessage
from codewords_mcp.runtime.recording.repair_proof import repair_lines

STATUS = ReplayDifference(subject="status", change="changed", before="500", after="200")
WRITE = ReplayDifference(subject="write", change="added", where="POST api.mail.example/send")
GOOD = [ReplayedRun(run_id=f"good_{n}", verdict="same") for n in range(5)]


@pytest.mark.requirement("testing:repair")
def test_a_repair_is_proven_by_the_failing_run_and_the_good_ones() -> None:
    fixed = ReplayedRun(run_id="bad", verdict="changed", differences=[STATUS, WRITE])
    assert repair_lines(fixed, GOOD) == [
        "Replayed, nothing sent: fixes the failing run bad (500 → 200); 5 of 5 good ones are the same.",
        "After the fix it “would POST api.mail.example/send, which it did not before”",
    ]


@pytest.mark.requirement("testing:repair")
def test_what_is_no_repair_or_breaks_another_run_is_said() -> None:
    other = ReplayDifference(subject="status", change="changed", before="500", after="502")
    answer = ReplayDifference(subject="answer", change="changed", field="total", before="12", after="13")
    broken = ReplayedRun(run_id="good_6", verdict="changed", differences=[answer])
    unseen = ReplayedRun(run_id="bad", verdict="cannot tell", obstacles=["not recorded: tcp db:5432"])
    for failed, head in (
        (ReplayedRun(run_id="bad", verdict="same"), "does NOT fix the failing run bad"),
        (ReplayedRun(run_id="bad", verdict="changed", differences=[other]), "does NOT fix"),
        (unseen, "cannot tell whether it fixes the failing run bad: “not recorded: tcp db:5432”"),
    ):
        lines = repair_lines(failed, [*GOOD, broken])
        assert head in lines[0]
        assert "5 of 6 good ones are the same" in lines[0]
        assert lines[1] == "good_6 changed: “answer `total`: 12 → 13”"
    assert "no good run is recorded" in repair_lines(unseen, [])[0]


@pytest.mark.requirement("replay:failed-starts")
def test_a_recording_without_the_body_that_its_headers_tell_of_is_not_replayed() -> None:
    headers = [(b"content-length", b"13")]
    asked = RunMessage("POST", "/", headers=headers, body=b"")
    lacking = replace(recording(body={}), request=asked)
    assert "no recorded request" in lacking.why_no_input
    assert lacking.why_no_input in lacking.obstacles
    for whole in (RunMessage("GET", "/", headers=[(b"content-length", b"0")]), RunMessage("GET", "/")):
        assert replace(lacking, request=whole).why_no_input == ""
