"""A short slice of the storm: `python -m tests.chaos.storm` is the whole of it."""

from __future__ import annotations

import pytest
from tests.chaos.storm import blow


@pytest.mark.slow
@pytest.mark.deep("proves by volume")
@pytest.mark.requirement("runs:storm", "replicas:take-over", "runs:once", "runs:durable")
def test_rounds_of_kills_on_three_replicas_leave_everything_as_it_must_be() -> None:
    storm = blow(
        "postgres", rounds=2, seed=133
    )  # a connection and a runtime, then a sandbox and a fork server
    assert storm.strikes.total() >= 2, storm.strikes
    assert storm.runs > 0
