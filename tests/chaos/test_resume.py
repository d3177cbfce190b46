"""A short slice of the kills of `benchmarks/resume.py`."""

from __future__ import annotations

import pytest
from tests.chaos.resuming import resume_under_kills


@pytest.mark.slow
@pytest.mark.requirement("runs:resume", "runs:resume-asks")
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_no_write_is_sent_twice_whatever_is_killed(database: str) -> None:
    storm = resume_under_kills(database, 4, seed=18)
    assert storm.host.doubled == []
    assert storm.faults == []
    assert storm.kills.total() >= 4
    assert storm.statuses["succeeded"] > 0
