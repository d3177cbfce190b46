"""What a load test concludes from its steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from codewords_mcp.cli.load.load_findings import bend, is_over, limit_of, summary
from codewords_mcp.cli.load.load_steps import LoadStep

pytestmark = pytest.mark.requirement("cli:load")


def steps(*rates: float) -> list[LoadStep]:
    """Steps of a second, each of so many runs."""
    return [LoadStep(2**n, 1.0, [10.0] * int(rate)) for n, rate in enumerate(rates)]


def step(**values: Any) -> LoadStep:
    return LoadStep(8, 1.0, [100.0] * 10, **values)


def test_the_bend_is_the_step_after_which_none_gives_clearly_more() -> None:
    ramp = steps(100, 190, 200, 205)
    assert bend(ramp) is ramp[1]
    assert is_over(ramp)
    assert not is_over(ramp[:3])


def test_a_ramp_that_still_gives_more_has_no_bend() -> None:
    assert bend(steps(100, 150, 220)) is None
    assert bend([]) is None
    assert not is_over(steps(100))


def test_percentiles_are_times_that_were_measured() -> None:
    found = LoadStep(1, 1.0, [float(n) for n in range(1, 101)])
    assert [found.percentile(share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert LoadStep(1).percentile(0.5) == 0
    assert LoadStep(1).rate == 0


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"failures": Counter({"too_busy": 3})}, "refusals"),
        ({"phases": {"queued": 60, "total": 99}}, "slots"),
        ({"phases": {"queued": 1, "total": 99}, "cpu": 0.95}, "processors"),
        ({"phases": {"sandbox": 60, "total": 99}}, "sandboxes"),
        ({"phases": {"sandbox": 30, "ready": 20, "total": 99}}, "sandboxes"),
        ({"phases": {"answer": 60, "total": 99}}, "workflow"),
        ({"phases": {"answer": 10, "total": 30}}, "runtime"),
        ({"phases": {"answer": 30, "sandbox": 30, "total": 90}}, "nothing"),
    ],
)
def test_what_limits_is_told_from_failures_phases_and_processors(values: dict[str, Any], kind: str) -> None:
    assert limit_of(step(**values), 100).kind == kind


def test_the_summary_has_each_step_the_bend_and_the_limit() -> None:
    found = summary(steps(100, 190, 200, 205), None)
    assert [one["runs_per_second"] for one in found["steps"]] == [100, 190, 200, 205]
    assert found["bend"]["size"] == 2
    assert found["limit"]["kind"] == "runtime"
    assert summary([], None) == {"steps": [], "bend": None, "limit": None}
