"""Recorded runs as tests: replayed on any code, beside what was recorded, and under faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from codewords_mcp.errors import CodewordsError
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.replay import FaultReport
from codewords_mcp.runtime.model.testing import FaultedRun, TestedRun
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.expectations import judge_test
from codewords_mcp.runtime.recording.faults import (
    INJECTION_HOST,
    ResponseFault,
    obey,
    possible_faults,
    report_fault,
    with_fault,
)
from codewords_mcp.runtime.recording.matching import FieldName
from codewords_mcp.runtime.recording.replay import ReplayRecorder
from codewords_mcp.runtime.runs.catalog import Catalog, Servable
from codewords_mcp.runtime.runs.replay_verdicts import RUN_SECONDS, SLOWER
from codewords_mcp.runtime.runs.replays import NotReplayed, ReplayRunner

OWN_REPLAYS: Final = 2
"""Replays of the recorded version that tell which fields differ by themselves, where a test fails at first."""
MAX_FAULTS: Final = 50
"""Faults of one recording that are tried."""
_OUT_OF_TIME: Final = "there was no time left for it"


@dataclass(frozen=True, slots=True)
class RecordedTest:
    """A recording with what a replay of it has to have in common with it. `imported`: its version is not of this home."""

    recording: Recording
    expect: Sequence[str]
    imported: bool = False


@dataclass(frozen=True, slots=True)
class TestOrder:
    """Tests and the code to try them on. `seconds` are for all of them."""

    # Its name would make pytest collect it.
    __test__ = False

    caller: Caller
    servable: Servable
    tests: Sequence[RecordedTest]
    seconds: float


class RecordedTests:
    """Tries code on recordings. Nothing is sent.

    What was recorded is what is expected. The recorded version is replayed only where something differs, to learn what differs by
    itself; in place of a version that is gone, the code itself is replayed twice.
    """

    def __init__(self, catalog: Catalog, runner: ReplayRunner) -> None:
        self._catalog = catalog
        self._runner = runner

    async def run(self, order: TestOrder, progress: Progress = no_progress) -> list[TestedRun]:
        """Try each test, some at once. Cancelling this ends them. Raises nothing for a test that cannot be tried."""
        ends_at = time.monotonic() + order.seconds
        done = 0

        async def one(test: RecordedTest) -> TestedRun:
            nonlocal done
            try:
                found = await _Trial(self._catalog, self._runner, order, ends_at).judge(test)
            except NotReplayed as why:
                found = _cannot_tell(test, str(why))
            except CodewordsError as error:
                found = _cannot_tell(test, error.message)
            done += 1
            await progress(done, len(order.tests), f"{done} of {len(order.tests)} recorded tests run")
            return found

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(test)) for test in order.tests]
        return [task.result() for task in tasks]

    async def run_with_faults(
        self, order: TestOrder, seed: int, progress: Progress = no_progress
    ) -> list[FaultedRun]:
        """Replay each recording with one fault at a time. The same seed makes the same faults."""
        ends_at = time.monotonic() + order.seconds
        found: list[FaultedRun] = []
        for number, test in enumerate(order.tests):
            await progress(number, len(order.tests), f"Faults in {test.recording.run_id}")
            trial = _Trial(self._catalog, self._runner, order, ends_at)
            try:
                found.append(await trial.faults(test.recording, seed))
            except NotReplayed as why:
                found.append(FaultedRun(run_id=test.recording.run_id, problem=str(why)))
            except CodewordsError as error:
                found.append(FaultedRun(run_id=test.recording.run_id, problem=error.message))
        return found


class _Trial:
    """One recording on the code that is tested."""

    def __init__(self, catalog: Catalog, runner: ReplayRunner, order: TestOrder, ends_at: float) -> None:
        self._catalog = catalog
        self._runner = runner
        self._order = order
        self._ends_at = ends_at

    async def judge(self, test: RecordedTest) -> TestedRun:
        """The outcome of a test. Raises NotReplayed, and the error of a run that did not begin."""
        recording = test.recording
        _require_replayable(recording)
        replay = await self._replay(recording)
        # The recording as its own replay: a test that passes so needs no replay of the recorded version.
        first = await asyncio.to_thread(Baseline, recording, [recording])
        found = judge_test(await asyncio.to_thread(compare, first, replay), test.expect)
        if found.outcome == "passed":
            return found

        baseline = await self._taught(test, replay)
        # With its noise known, a request may find an answer that it did not find before.
        if baseline.noisy_fields:
            replay = await self._replay(recording, noise=baseline.noisy_fields)
        return judge_test(await asyncio.to_thread(compare, baseline, replay), test.expect)

    async def faults(self, recording: Recording, seed: int) -> FaultedRun:
        """The behaviour of the code under each fault that this recording can have."""
        _require_replayable(recording)
        before = await self._replay(recording)
        refused_before = (await self._runner.aftermath(before, self._order.caller)).refused
        # Several at once take longer than the first one alone, on a busy machine much longer.
        most = RUN_SECONDS + SLOWER * max(recording.seconds, before.seconds)
        faults = possible_faults(recording, seed=seed, limit=MAX_FAULTS)

        async def one(fault: ResponseFault) -> FaultReport | None:
            faulty = with_fault(recording, fault)
            stand_in = obey if fault.kind == "injection" else None
            recorder = ReplayRecorder(faulty, paced=fault.kind == "timeout", stand_in=stand_in)
            try:
                after = await self._run(faulty, self._order.servable, recorder, most=most)
                aftermath = await self._runner.aftermath(after, self._order.caller)
            except (NotReplayed, CodewordsError):
                # Told as untried: an error would end the group, and with it the reports of the other faults.
                return None
            report = await asyncio.to_thread(report_fault, fault, before, after)
            refused = [host for host in aftermath.refused if host not in refused_before]
            return report.model_copy(
                update={
                    "at": aftermath.crash if report.outcome == "crashed" else "",
                    "refused": refused,
                    "followed_injection": report.followed_injection or INJECTION_HOST in refused,
                }
            )

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(fault)) for fault in faults]
        reports = [found for task in tasks if (found := task.result()) is not None]
        return FaultedRun(run_id=recording.run_id, faults=reports, untried=len(faults) - len(reports))

    async def _taught(self, test: RecordedTest, replay: Recording) -> Baseline:
        """The recording as baseline, with what differs by itself."""
        recording = test.recording
        own = await self._recorded_version(test)
        if own is None:
            baseline = await asyncio.to_thread(Baseline, recording, [recording])
            baseline.learn_from(replay, await self._replay(recording))
            return baseline

        replays = [
            await self._run(recording, own, ReplayRecorder(recording, same_version=True))
            for _ in range(OWN_REPLAYS)
        ]
        return await asyncio.to_thread(Baseline, recording, [recording, *replays])

    async def _recorded_version(self, test: RecordedTest) -> Servable | None:
        if test.imported:
            return None
        recording = test.recording
        return await self._catalog.version(self._order.caller.owner, recording.service_id, recording.version)

    async def _replay(self, recording: Recording, *, noise: frozenset[FieldName] = frozenset()) -> Recording:
        return await self._run(recording, self._order.servable, ReplayRecorder(recording, noise=noise))

    async def _run(
        self, recording: Recording, servable: Servable, recorder: ReplayRecorder, most: float | None = None
    ) -> Recording:
        usual = most or max(RUN_SECONDS, SLOWER * recording.seconds)
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise NotReplayed(_OUT_OF_TIME)
        replay = await self._runner.run(recording, servable, recorder, self._order.caller, min(left, usual))
        # It was the time of the tests that ended, which says nothing about the code.
        if replay.error == "run_timed_out" and left < usual:
            raise NotReplayed(_OUT_OF_TIME)
        return replay


def _require_replayable(recording: Recording) -> None:
    if recording.response.status == 101:
        raise NotReplayed("it talked with its caller over a websocket")
    if recording.why_no_input:
        raise NotReplayed(recording.why_no_input)


def _cannot_tell(test: RecordedTest, reason: str) -> TestedRun:
    return TestedRun(
        run_id=test.recording.run_id, expect=list(test.expect), outcome="cannot tell", lines=[reason]
    )
