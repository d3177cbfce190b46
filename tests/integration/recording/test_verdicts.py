"""The hundred changes get the verdicts that were written down for them."""

from __future__ import annotations

import logging
from typing import Final

import pytest
from tests.integration.recording.scenarios import Change, changes, held_out
from tests.integration.recording.verdicts import judge

from codewords_mcp.runtime.recording.replay_summary import render, summarize

ENOUGH: Final = 98


@pytest.mark.requirement("recording:verdicts")
@pytest.mark.timeout(200)
def test_a_hundred_changes_are_judged_and_none_that_changed_is_called_the_same() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    wrong = misjudged(changes())
    assert len(changes()) - len(wrong) >= ENOUGH, wrong


@pytest.mark.requirement("recording:verdicts")
def test_changes_that_nothing_was_tuned_to_are_judged_as_well() -> None:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    assert misjudged(held_out()) == []


def misjudged(some: list[Change]) -> list[str]:
    """Those with another verdict than was written down for them. Fails for one that is falsely called the same."""
    wrong: list[str] = []
    for change in some:
        run = judge(change)
        text = render(summarize([run]))
        assert len(text.splitlines()) <= 12
        assert run.verdict != "same" or change.verdict == "same", change.id
        if run.verdict != change.verdict or any(name not in text for name in change.names):
            wrong.append(f"{change.id}: {text}")
    return wrong
