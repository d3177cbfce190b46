"""Runs of recorded requests on any version or draft: all that they get is from a recording, and nothing is sent."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from codewords_mcp.errors import CodewordsError, InvalidInput
from codewords_mcp.runtime.model.caller import Caller
from codewords_mcp.runtime.model.run import LogLine, Run, RunRequest
from codewords_mcp.runtime.recording.exchanges import Recording
from codewords_mcp.runtime.recording.recorder import Recorder
from codewords_mcp.runtime.runs.background_request import replayed
from codewords_mcp.runtime.runs.catalog import Servable
from codewords_mcp.runtime.runs.dispatcher import RunDispatcher
from codewords_mcp.runtime.runs.run_plan import RunPlan
from codewords_mcp.runtime.workflows.validation.crash import last_exception, own_line

_PROCESSORS: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
# Half of a replay is waiting, for the kernel and for the end of its program: two for each processor are done in 0.6 of the time.
AT_ONCE: Final = max(4, 2 * _PROCESSORS)
"""Replays at once while no other run goes on; beside others there is one."""
OURS: Final = frozenset(
    {
        "sandbox_failed",
        "sandbox_unavailable",
        "storage_failed",
        "environment_failed",
        "runtime_unavailable",
        "interrupted",
        "run_cancelled",
        "too_busy",
    }
)
"""Codes of errors that say nothing of the program."""
LOG_LINES: Final = 400
"""Last lines of a replay's log in which its traceback is looked for."""
MAX_STEP: Final = 60
END_TIMEOUT: Final = 30.0
"""Seconds after its answer within which a program and its sandbox are gone."""


class NotReplayed(Exception):  # no error: it is reported as a verdict
    """A recording that cannot be replayed now. Its text completes "not seen: …"."""


@dataclass(frozen=True, slots=True)
class Aftermath:
    """`crash`: step, line and exception of the last traceback; "" without one. `refused`: hosts that the manifest refuses."""

    crash: str
    refused: tuple[str, ...]


class ReplayRunner:
    """Runs recordings again. A replay is a run like any other, but for its version, its recorder and its place in the queue."""

    def __init__(self, dispatcher: RunDispatcher, end_timeout: float = END_TIMEOUT) -> None:
        self._dispatcher = dispatcher
        self._end_timeout = end_timeout
        self._going = 0
        self._ended = asyncio.Event()

    async def run(
        self, recording: Recording, servable: Servable, recorder: Recorder, caller: Caller, seconds: float
    ) -> Recording:
        """Ask the version what the recorded run was asked. Returns what it did; a failed run is a result too.

        Cancelling this ends the run. Raises NotReplayed for a replay that says nothing of the program, InvalidInput
        where the request is not on the recording, and the error of a run that did not begin.
        """
        plan = RunPlan(servable, recorder)
        request = _request(recording, servable, caller, seconds)
        async with self._turn():
            try:
                response = await self._dispatcher.run_planned(request, plan)
                try:
                    # Read to its end: closing it before would cancel the run.
                    async for _ in response.body:
                        pass
                finally:
                    await response.aclose()
            except CodewordsError as error:
                # The recording of a run that began has it.
                if error.run_id is None:
                    raise
            replay = await self._recorded(plan)

        if replay.error in OURS:
            raise NotReplayed(f"its replay was broken off: {replay.error}")
        return replay

    async def _recorded(self, plan: RunPlan) -> Recording:
        try:
            async with asyncio.timeout(self._end_timeout):
                return await plan.recorded
        except TimeoutError:
            raise NotReplayed(
                f"the sandbox of its replay did not end within {self._end_timeout:g} s"
            ) from None

    async def aftermath(self, replay: Recording, caller: Caller) -> Aftermath:
        """Read what the record and the log of a replay say beside its recording."""
        run = await self._dispatcher.get(caller, replay.run_id)
        log = await self._dispatcher.tail(caller, replay.run_id, LOG_LINES)
        egress: dict[str, Any] = run.usage.get("egress") or {}
        # Only a refusal by the manifest has a fix.
        refused = [str(one["host"]) for one in egress.get("reached", []) if one.get("fix")]
        return Aftermath(_crash(run, log), tuple(dict.fromkeys(refused)))

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        # Asked again after each end: other runs may have come meanwhile.
        while self._going >= self._places():
            self._ended.clear()
            await self._ended.wait()
        self._going += 1
        try:
            yield
        finally:
            self._going -= 1
            self._ended.set()

    def _places(self) -> int:
        others = self._dispatcher.active - self._going
        return 1 if others > 0 else AT_ONCE


def _crash(run: Run, log: Sequence[LogLine]) -> str:
    output = "\n".join(line.message for line in log if line.stream != "platform")
    found = last_exception(output)
    if found is None:
        return ""
    name, _, trace = found
    line = own_line(trace)
    places: list[str] = []
    if run.steps:
        places.append(f"step {run.steps[-1].id[:MAX_STEP]}")
    if line is not None:
        places.append(f"line {line}")

    exception = name.rsplit(".", maxsplit=1)[-1]
    if places:
        return f"{', '.join(places)}: {exception}"
    return exception


def _request(recording: Recording, servable: Servable, caller: Caller, seconds: float) -> RunRequest:
    message = recording.request
    if message.body is None:
        raise InvalidInput("The input of this run is not on its recording.")

    path, _, query = message.target.partition("?")
    # Counted anew: values of secrets in it were longer or shorter.
    headers = [(name, value) for name, value in message.headers if name != b"content-length"]
    if message.body or len(headers) < len(message.headers):
        headers.append((b"content-length", str(len(message.body)).encode()))
    return RunRequest(
        servable.service_id,
        message.method,
        path,
        query.encode("latin-1"),
        headers,
        replayed(message.body),
        caller,
        timeout=seconds,
        mode="replay",
        mode_of=recording.run_id,
    )
