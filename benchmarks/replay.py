"""How long a replay of 20 recorded runs on a draft takes, each with ten exchanges, beside twenty such runs for real.

What is sent and paid meanwhile is counted: it has to be nothing.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pytest
import uvloop
from _bench import Question, options, report
from tests.integration.recording.helpers import RecordingGround, calling, recording_ground
from tests.support.runtime import ADMIN, deploy

from codewords_mcp.runtime.egress import HOST_ALIAS
from codewords_mcp.runtime.model.authoring import Edit
from codewords_mcp.runtime.model.replay import ReplayRequest
from codewords_mcp.runtime.runs.replays import AT_ONCE

RUNS = 20
EXCHANGES = 10


@dataclass
class Ground:
    """A workflow, its calls, and a draft of it that answers the same by other code."""

    recording: RecordingGround
    service: str
    calls: list[list[object]]
    draft: str = ""

    async def run_all(self, turn: int) -> tuple[float, list[str]]:
        """Seconds that the runs take for real, as many at once as replays; their ids, once they are recorded."""
        began = time.perf_counter()
        places = asyncio.Semaphore(AT_ONCE)

        async def run() -> str:
            async with places:
                # Of inputs of one form only so many are recorded in a minute.
                status, answer, run_id = await self.recording.run(
                    self.service, *self.calls, **{f"turn{turn}": True}
                )
                assert status == 200, answer
                return run_id

        run_ids = await asyncio.gather(*(run() for _ in range(RUNS)))
        seconds = time.perf_counter() - began
        for run_id in run_ids:
            await self.recording.recording(run_id)
        return seconds, run_ids

    async def replay(self, run_ids: list[str]) -> float:
        """Seconds of a replay of these on the draft. Nothing may be sent or paid."""
        before = len(self.recording.host.asked)
        began = time.perf_counter()
        done = await self.recording.runtime.replays.replay(
            ADMIN, ReplayRequest(draft=self.draft, runs=run_ids)
        )
        seconds = time.perf_counter() - began
        found = done.report
        assert found is not None
        assert (found.verdict, len(found.runs)) == ("same", RUNS), done.text
        assert (found.bytes_sent, found.cost, len(self.recording.host.asked)) == (0, 0.0, before)
        return seconds


@asynccontextmanager
async def ground(folder: Path) -> AsyncGenerator[Ground]:
    """Make the workflow and the draft."""
    with pytest.MonkeyPatch.context() as patch:
        async with recording_ground(folder, patch) as opened:
            service = await deploy(opened.runtime, calling(f'hosts = ["{HOST_ALIAS}"]', title="Replayed"))
            reads = [["GET", f"{opened.url}/item/{number}", None] for number in range(EXCHANGES - 2)]
            writes = [["POST", f"{opened.url}/order/{number}", {"amount": number}] for number in range(2)]
            made = Ground(opened, service, [*reads, *writes])
            edit = Edit(old="reply.text[:200]", new="reply.text[0:200]")
            made.draft = (await opened.runtime.drafts.edit(ADMIN, service, edits=[edit])).draft.draft_id
            yield made


async def measure(turns: int) -> list[Question]:
    """The times, in turns."""
    peer = "the same runs for real"
    again = Question(
        f"a replay of {RUNS} recorded runs with {EXCHANGES} exchanges on a draft",
        peer,
        "s",
        None,
        at_most=2.0,
    )
    first = Question("the same for the first time, on the recorded version too", peer, "s", None)
    with tempfile.TemporaryDirectory() as folder:
        async with ground(Path(folder)) as made:
            for turn in range(turns):
                seconds, run_ids = await made.run_all(turn)
                for question in (first, again):
                    question.peer.append(seconds)
                    question.ours.append(await made.replay(run_ids))
    return [again, first]


def main() -> int:
    """Run it."""
    chosen = options(__doc__ or "", runs=6, quick_runs=3)
    return report(uvloop.run(measure(chosen.runs)), chosen)


if __name__ == "__main__":
    sys.exit(main())
