"""A short slice of the storm over waiting runs: `python -m tests.chaos.waiting` is the whole of it."""

from __future__ import annotations

import pytest
from tests.chaos.waiting import wait_under_kills


@pytest.mark.slow
@pytest.mark.requirement("approvals:killed", "approvals:suspend", "runs:resume-unanswered")
@pytest.mark.deep("proves by volume")
def test_waiting_runs_end_with_true_answers_whatever_is_killed_meanwhile() -> None:
    storm = wait_under_kills("sqlite", kills=3, seed=36, seconds=20)
    assert storm.faults == []
    assert storm.kills.total() > 0, storm.kills
    assert storm.statuses["succeeded"] > 0, storm.statuses
