"""Tests of workflows that are made of recorded runs, and their results."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from codewords_mcp.runtime.model.base import Model
from codewords_mcp.runtime.model.replay import FaultReport

USUAL_EXPECTATIONS: Final = ("answer", "writes")

TestOutcome = Literal["passed", "failed", "cannot tell"]


class TestedRun(Model):
    """One recorded run as a test, with its outcome on the code that was tested.

    `expect` says what a replay has to have in common with the recorded run: its whole `answer`, its `status`, its `writes`, a
    field of its answer (`$.total`), or all that it did (`same`). `lines` say what differs, or why it cannot be told.
    """

    __test__ = False  # no class of tests, for pytest

    run_id: str
    expect: list[str]
    outcome: TestOutcome
    lines: list[str] = Field(default_factory=list[str])
    seconds: float = 0.0


class FaultedRun(Model):
    """One recorded run under faults. `untried` are faults for which there was no time; `problem` says why there are none."""

    run_id: str
    faults: list[FaultReport] = Field(default_factory=list[FaultReport])
    untried: int = 0
    problem: str = ""


class TestReport(Model):
    """All tests of a workflow on its code, a draft's or that of a file, named by `of`. The same `seed` makes the same faults."""

    __test__ = False

    of: str
    tests: list[TestedRun] = Field(default_factory=list[TestedRun])
    faulted: list[FaultedRun] = Field(default_factory=list[FaultedRun])
    seed: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(one.outcome == "passed" for one in self.tests)
