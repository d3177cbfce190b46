"""Verdicts on the hundred changes, by replays in this process."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Final

from tests.integration.recording.in_process import run
from tests.integration.recording.scenarios import Change, scenarios

from codewords_mcp.runtime.model.replay import ReplayedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.replay import ReplayRecorder

AGO: Final = timedelta(days=1, hours=3, seconds=21)
"""Time since the recorded runs."""
BASELINES: Final = (2, 12)
"""Replays of the recorded version: at first, and where something differs that chance may have made."""


@cache
def _recorded(name: str) -> Recording:
    scenario = scenarios()[name]
    return run(scenario, scenario.code, ago=AGO)


@cache
def _baseline(name: str, count: int) -> Baseline:
    scenario, recording = scenarios()[name], _recorded(name)
    replays = [
        run(scenario, scenario.code, ReplayRecorder(recording, same_version=True)) for _ in range(count)
    ]
    return Baseline(recording, replays)


def judge(change: Change) -> ReplayedRun:
    """The comparison of one change."""
    found = _judge(change, BASELINES[0])
    if found.verdict == "same" or not _baseline(change.scenario.name, BASELINES[0]).noise.learned:
        return found
    return _judge(change, BASELINES[1])


def _judge(change: Change, count: int) -> ReplayedRun:
    baseline = _baseline(change.scenario.name, count)
    recorder = ReplayRecorder(baseline.recording, noise=baseline.noisy_fields)
    return compare(baseline, run(change.scenario, change.code, recorder))
