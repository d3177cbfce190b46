"""Verdicts on a version or draft, by replays of recorded runs beside replays of the version that was recorded."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from codewords_mcp.errors import CodewordsError, NotFound
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.progress import Progress, no_progress
from codewords_mcp.runtime.model.recording import RecordingInfo
from codewords_mcp.runtime.model.replay import ReplayedRun, ReplayReport
from codewords_mcp.runtime.recording.baseline import Baseline
from codewords_mcp.runtime.recording.comparison import compare
from codewords_mcp.runtime.recording.exchanges import Recording, cost_of
from codewords_mcp.runtime.recording.replay import MissPolicy, ReplayRecorder
from codewords_mcp.runtime.recording.replay_summary import summarize
from codewords_mcp.runtime.runs.catalog import Catalog, Servable
from codewords_mcp.runtime.runs.input_trials import InputTrials
from codewords_mcp.runtime.runs.recording_store import RecordingService
from codewords_mcp.runtime.runs.replays import AT_ONCE, NotReplayed, ReplayRunner

BASELINES: Final = (1, 2, 12)
"""Replays of the recorded version: at first, where something differs, and where chance may have made the difference."""
CACHED_BYTES: Final = 64 << 20
"""Bytes of bodies in cached replays of recorded versions."""
RUN_SECONDS: Final = 10.0
SLOWER: Final = 4.0
"""A replay may take `RUN_SECONDS`, or so many times what the recorded run took."""
log = structlog.get_logger(__name__)
OUT_OF_TIME: Final = "it was not replayed within the time for all"


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """The recordings to replay, and the version or draft to replay them on. `seconds` are for all of them."""

    caller: Caller
    servable: Servable
    recordings: Sequence[RecordingInfo]
    misses: MissPolicy = field(default_factory=MissPolicy)
    against: Servable | None = None
    """The version to compare with, else for each recording the one that was recorded."""
    seconds: float = 60.0

    def limited(self, dollars: float) -> ReplayOrder:
        """The same, of which so many US dollars are left for model calls."""
        servable = replace(self.servable, run_budget=dollars)
        return replace(self, servable=servable, misses=replace(self.misses, budget=dollars))


class ReplayVerdicts:
    """Replays recordings and compares. Replays of recorded versions are cached."""

    def __init__(self, recordings: RecordingService, catalog: Catalog, runner: ReplayRunner) -> None:
        self._recordings = recordings
        self._catalog = catalog
        self._runner = runner
        self._cache = ReplayCache()
        self.trials = InputTrials(runner)

    async def judge(self, order: ReplayOrder, progress: Progress = no_progress) -> ReplayReport:
        """Replay each recording, some at once. Cancelling this ends the replays.

        Raises nothing for a recording that cannot be replayed: the report names it.
        """
        began = time.monotonic()
        total = len(order.recordings)
        runs: dict[str, ReplayedRun] = {}
        budget, spent = order.misses.budget, 0.0
        # One by one where calls cost something: each may spend all that is left.
        places = asyncio.Semaphore(1 if budget else AT_ONCE)
        ends_at = began + order.seconds

        async def judge(info: RecordingInfo) -> None:
            nonlocal spent
            async with places:
                if budget:
                    limited = order.limited(max(budget - spent, 0.0))
                else:
                    limited = order
                attempt = _RecordingReplay(self._catalog, self._runner, self._cache, limited, ends_at)
                try:
                    runs[info.run_id] = await self._judge(attempt, info)
                finally:
                    # Also of a replay that failed: its model calls are paid for.
                    spent += attempt.spent
            await progress(len(runs), total, f"{len(runs)} of {total} recorded runs replayed")

        async with asyncio.TaskGroup() as group:
            for info in order.recordings:
                group.create_task(judge(info))

        ordered = [runs[info.run_id] for info in order.recordings]
        return summarize(ordered, seconds=time.monotonic() - began, cost=spent)

    async def _judge(self, attempt: _RecordingReplay, info: RecordingInfo) -> ReplayedRun:
        try:
            recording = await self._recordings.load(attempt.order.caller.owner, info.run_id)
            return await attempt.judge(recording, imported=info.imported)
        except NotFound:
            reason = "its recording is damaged, or was removed"
        except NotReplayed as why:
            reason = str(why)
        except CodewordsError as error:
            reason = error.message
        except Exception:
            # One recording is not worth the others, nor a deploy.
            log.exception("recording not replayed", run_id=info.run_id)
            reason = "the runtime failed while it replayed this run"
        return ReplayedRun(run_id=info.run_id, verdict="cannot tell", obstacles=[reason])


class _RecordingReplay:
    """One recording, replayed on the recorded version and on the new one."""

    def __init__(
        self, catalog: Catalog, runner: ReplayRunner, cache: ReplayCache, order: ReplayOrder, ends_at: float
    ) -> None:
        self.order = order
        self.spent = 0.0
        """US dollars of the model calls that were made."""
        self._catalog = catalog
        self._runner = runner
        self._cache = cache
        self._ends_at = ends_at

    async def judge(self, recording: Recording, *, imported: bool) -> ReplayedRun:
        """The verdict. Raises NotReplayed, and the error of a run that did not begin."""
        if recording.response.status == 101:
            raise NotReplayed("it talked with its caller over a websocket")
        if recording.why_no_input:
            raise NotReplayed(recording.why_no_input)
        recorded = await self._recorded_version(recording, imported=imported)

        found: ReplayedRun | None = None
        for count in BASELINES:
            try:
                baseline = await self._baseline(recording, recorded, count)
            except NotReplayed:
                if found is None:
                    raise
                return found
            found = await self._compare(baseline, recording)
            # More replays of the recorded version can only turn a difference into noise, and each round
            # replays the new one again, which costs where its model calls are live.
            if found.verdict == "same" or self.spent or (count > 1 and not baseline.noise.learned):
                break
        assert found is not None  # noqa: S101  # BASELINES is not empty
        return found

    async def _recorded_version(self, recording: Recording, *, imported: bool) -> Servable:
        """The version that was recorded; the live one for a recording of another home, or of a version that is gone."""
        owner, service_id = self.order.caller.owner, self.order.servable.service_id
        if self.order.against is not None:
            return self.order.against
        found: Servable | None = None
        if not imported:
            found = await self._catalog.version(owner, service_id, recording.version)
        if found is not None:
            return found
        try:
            return await self._catalog.find(self.order.caller, service_id)
        except NotFound:
            raise NotReplayed("its workflow was deleted") from None

    async def _baseline(self, recording: Recording, version: Servable, count: int) -> Baseline:
        key = (recording.run_id, version.service_id, version.version)
        same_version = self.order.against is None or version.version == recording.version
        replays = list(self._cache.get(key))
        while len(replays) < count:
            batch = min(count - len(replays), AT_ONCE)
            replays += await asyncio.gather(
                *(
                    self._run(
                        recording, version, lambda: ReplayRecorder(recording, same_version=same_version)
                    )
                    for _ in range(batch)
                )
            )
            self._cache.put(key, replays)
        # Large bodies take long to compare, and the loop serves other runs meanwhile.
        return await asyncio.to_thread(Baseline, recording, replays[:count])

    async def _compare(self, baseline: Baseline, recording: Recording) -> ReplayedRun:
        replay = await self._run(
            recording,
            self.order.servable,
            lambda: ReplayRecorder(recording, self.order.misses, noise=baseline.noisy_fields),
        )
        self.spent += cost_of(replay.sent())
        return await asyncio.to_thread(compare, baseline, replay)

    async def _run(
        self, recording: Recording, version: Servable, recorder: Callable[[], ReplayRecorder]
    ) -> Recording:
        left = self._ends_at - time.monotonic()
        usual = max(RUN_SECONDS, SLOWER * recording.seconds)
        if left <= 0:
            raise NotReplayed(OUT_OF_TIME)
        replay = await self._runner.run(recording, version, recorder(), self.order.caller, min(left, usual))
        # The time for all runs ended, which says nothing about the code.
        if replay.error == "run_timed_out" and left < usual:
            raise NotReplayed(OUT_OF_TIME)
        return replay


class ReplayCache:
    """Replays of recorded versions, by recording and version; the oldest go first."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[str, str, int], list[Recording]] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[str, str, int]) -> Sequence[Recording]:
        """Those of this recording."""
        if key not in self._found:
            return ()
        self._found.move_to_end(key)
        return self._found[key]

    def put(self, key: tuple[str, str, int], replays: Sequence[Recording]) -> None:
        """Keep these in place of those before."""
        self._bytes += sum(map(_size, replays)) - sum(map(_size, self._found.pop(key, ())))
        self._found[key] = list(replays)
        # The latest stays, however large: its comparison goes on.
        while self._bytes > CACHED_BYTES and len(self._found) > 1:
            _, gone = self._found.popitem(last=False)
            self._bytes -= sum(map(_size, gone))


def _size(recording: Recording) -> int:
    bodies = sum(len(one.body) + len(one.request.body or b"") for one in recording.exchanges)
    return bodies + len(recording.response.body or b"") + 1000
