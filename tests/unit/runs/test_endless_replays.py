"""Replays whose sandbox does not end, or that say nothing of the program: verdicts, and no errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.recording.helpers import exchange, recording, request

from codewords_mcp.errors import TooBusy
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.recording.replay import MissPolicy
from codewords_mcp.runtime.runs.input_trials import InputTrial
from codewords_mcp.runtime.runs.recorded_tests import RecordedTest, RecordedTests, TestOrder
from codewords_mcp.runtime.runs.replay_verdicts import ReplayOrder, ReplayVerdicts
from codewords_mcp.runtime.runs.replays import NotReplayed, ReplayRunner

pytestmark = [pytest.mark.anyio, pytest.mark.requirement("replay:bad")]
MADE = recording(
    exchange(0, request("GET", "https://shop.example/orders"), {"orders": []}), answer={"orders": 0}
)
CALLER = Caller("ada", "user")
CODE, LIVE = (SimpleNamespace(service_id="service_1", version=number, run_budget=None) for number in (2, 1))
UNENDED = "the sandbox of its replay did not end within 0.01 s"


async def empty() -> AsyncGenerator[bytes]:
    return
    yield b""


class Sandboxes:
    """Answers each planned run; those of `stuck` never end, and those of `crowded` do not begin."""

    active = 0

    def __init__(self, *, stuck: tuple[Any, ...] = (), crowded: tuple[Any, ...] = ()) -> None:
        self.stuck = stuck
        self.crowded = crowded

    async def run_planned(self, _: object, plan: Any) -> Any:
        if plan.servable in self.crowded:
            raise TooBusy("All places are taken.", retry_after=1)
        if plan.servable not in self.stuck:
            plan.finish(MADE)
        return SimpleNamespace(body=empty(), aclose=empty().aclose)


class Store:
    """Where the one recording is kept."""

    async def load(self, *_: object) -> Any:
        return MADE

    async def version(self, *_: object) -> Any:
        return LIVE


def runner(**sandboxes: Any) -> ReplayRunner:
    dispatcher: Any = Sandboxes(**sandboxes)
    return ReplayRunner(dispatcher, end_timeout=0.01)


async def test_a_replay_whose_sandbox_does_not_end_is_not_replayed() -> None:
    servable: Any = CODE
    recorder: Any = None
    with pytest.raises(NotReplayed, match=UNENDED):
        await runner(stuck=(CODE,)).run(MADE, servable, recorder, CALLER, 1)


@pytest.mark.parametrize("stuck", [(CODE,), (LIVE,)], ids=["new", "recorded"])
async def test_a_verdict_on_it_cannot_be_told(stuck: tuple[Any, ...]) -> None:
    store: Any = Store()
    servable: Any = CODE
    info: Any = SimpleNamespace(run_id="run_1", imported=False)
    verdicts = ReplayVerdicts(store, store, runner(stuck=stuck))
    (found,) = (await verdicts.judge(ReplayOrder(CALLER, servable, [info]))).runs
    assert (found.verdict, found.obstacles) == ("cannot tell", [UNENDED])


async def test_a_recorded_test_of_it_cannot_be_told_with_faults_too() -> None:
    store: Any = Store()
    servable: Any = CODE
    tests = RecordedTests(store, runner(stuck=(CODE,)))
    order = TestOrder(CALLER, servable, [RecordedTest(MADE, ("same",))], 60)
    (tested,) = await tests.run(order)
    assert (tested.outcome, tested.lines) == ("cannot tell", [UNENDED])
    (faulted,) = await tests.run_with_faults(order, 0)
    assert faulted.problem == UNENDED


@pytest.mark.parametrize(
    ("sandboxes", "obstacle"),
    [
        ({"stuck": (CODE,)}, UNENDED),
        ({"stuck": (LIVE,)}, f"the live version, to compare it with: {UNENDED}"),
        (
            {"crowded": (LIVE,)},
            "the live version, to compare it with: it did not begin: All places are taken.",
        ),
    ],
    ids=["stuck", "live stuck", "live crowded"],
)
async def test_an_input_tried_on_it_cannot_be_compared(sandboxes: Any, obstacle: str) -> None:
    code: Any = CODE
    live: Any = LIVE
    trial = InputTrial(CALLER, code, live, MADE, b"{}", MissPolicy(), 1)
    store: Any = Store()
    verdicts = ReplayVerdicts(store, store, runner(**sandboxes))
    (found,) = (await verdicts.trials.judge(trial)).runs
    assert (found.verdict, found.obstacles) == ("cannot tell", [obstacle])
