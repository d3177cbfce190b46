"""The hundred changes get the verdicts that were written down for them."""

from __future__ import annotations

import logging
from typing import Final

import pytest
from tests.integration.recording.scenarios import changes
from tests.integration.recording.verdicts import judge

from codewords_mcp.runtime.recording.replay_summary import render, summarize

ENOUGH: Final = 98


@pytest.mark.requirement("recording:verdicts")
@pytest.mark.timeout(200)
def test_a_hundred_changes_are_judged_and_none_that_changed_is_called_the_same() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    wrong: list[str] = []
    for change in changes():
        run = judge(change)
        text = render(summarize([run]))
        assert len(text.splitlines()) <= 12
        assert run.verdict != "same" or change.verdict == "same", change.id
        if run.verdict != change.verdict or any(name not in text for name in change.names):
            wrong.append(f"{change.id}: {text}")
    assert len(changes()) - len(wrong) >= ENOUGH, wrong
