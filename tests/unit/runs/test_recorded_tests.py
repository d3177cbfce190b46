"""Recorded tests beside replays that cannot begin."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.recording.helpers import exchange, recording, request

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.faults import possible_faults
from codewords_mcp.runtime.runs.recorded_tests import RecordedTest, RecordedTests, TestOrder
from codewords_mcp.runtime.runs.replays import Aftermath

MADE = recording(
    exchange(0, request("GET", "https://shop.example/orders"), {"orders": [{"id": "o-1"}]}),
    answer={"orders": 1},
)


class Crowded:
    """A runner whose second replay under a fault finds no place."""

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, recorded: Recording, *_: object) -> Recording:
        self.runs += 1
        if self.runs == 3:
            raise TooBusy("All places are taken.", retry_after=1)
        return recorded

    async def aftermath(self, *_: object) -> Aftermath:
        return Aftermath("", ())


@pytest.mark.anyio
@pytest.mark.requirement("testing:faults")
async def test_a_fault_that_finds_no_place_is_told_as_untried_beside_the_others() -> None:
    runner: Any = Crowded()
    nothing: Any = None
    tests = RecordedTests(nothing, runner)
    order = TestOrder(Caller("ada", "user"), nothing, [RecordedTest(MADE, ())], 60)
    (found,) = await tests.run_with_faults(order, 0)
    assert (found.problem, found.untried, len(found.faults)) == ("", 1, len(possible_faults(MADE)) - 1)
