"""The verdicts on the changes of `tests/integration/recording/changes`, by replays in real sandboxes: the hundred, and those
that were held out while replays were made.

The recorded runs are in sandboxes too; the world that answers them is data.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)]

import uvloop  # noqa: E402
from tests.integration.recording.in_process import World  # noqa: E402
from tests.integration.recording.scenarios import Change, Scenario, changes, held_out  # noqa: E402
from tests.integration.runtime.helpers import serving  # noqa: E402
from tests.support.runtime import ADMIN, deploy, make_home, open_runtime  # noqa: E402

from codewords_mcp.runtime.api.runtime import Runtime  # noqa: E402
from codewords_mcp.runtime.model.replay import Replay, ReplayRequest  # noqa: E402
from codewords_mcp.runtime.recording.exchanges import (  # noqa: E402
    Exchange,
    RecordedRequest,
    Recording,
    RunMessage,
    UnreadConnection,
)
from codewords_mcp.runtime.recording.recorder import RecordedResponse, Verdict, replayed_pieces  # noqa: E402
from codewords_mcp.runtime.runs.replays import ReplayRunner  # noqa: E402
from codewords_mcp.runtime.secrets.scrub import label_of  # noqa: E402

MISTAKES = 2


class WorldRecorder:
    """Answers a real run as a scenario says, and notes what it answered, as if hosts had."""

    answers = True

    def __init__(self, scenario: Scenario) -> None:
        self.exchanges: list[Exchange] = []
        self._world = World(scenario)
        self._env = scenario.env
        self._began = time.monotonic()

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        started = time.monotonic() - self._began
        url, body = request.url, request.body
        for name, value in self._env.items():
            url = url.replace(label_of(name), value)
            body = body and body.replace(label_of(name).encode(), value.encode())
        answer = self._world.answer(dataclasses.replace(request, url=url, body=body))
        await asyncio.sleep(0.001)
        content, headers = answer.content, list(answer.headers.raw)
        ended = time.monotonic() - self._began
        self.exchanges.append(
            Exchange(
                len(self.exchanges), request, "sent", started, ended, answer.status_code, headers,
                ((0.0, content),), len(content), whole=True,
            )
        )  # fmt: skip
        return RecordedResponse(answer.status_code, headers, replayed_pieces([(0.0, content)], paced=False))


async def recorded(runtime: Runtime, scenario: Scenario, service: str) -> Recording:
    """The run in a sandbox, as a home would have recorded it."""
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    servable = await container.catalog.version(ADMIN.owner, service, 1)
    assert servable is not None
    recorder, body = WorldRecorder(scenario), json.dumps(scenario.inputs).encode()
    request = RunMessage("POST", "/", 0, [(b"content-type", b"application/json")], body)
    asked = Recording("", service, 1, 0, "", request, RunMessage())
    runner = ReplayRunner(container.dispatcher)
    done = await runner.run(asked, servable, recorder, ADMIN, 60.0)
    return dataclasses.replace(
        done,
        exchanges=tuple(recorder.exchanges),
        connections=tuple(
            UnreadConnection(one["host"], one["port"], 0.0, 0.1, 10, 10, one["why"])
            for one in scenario.connections
        ),
        truncated=scenario.truncated,
    )


async def judged(runtime: Runtime, scenario: Scenario, some: list[Change]) -> list[tuple[Change, Replay]]:
    """Deploy the program, bring its recording, and replay it on each change."""
    for name, value in scenario.env.items():
        await runtime.secrets.set(ADMIN, name, value)
    service = await deploy(runtime, scenario.code, name=scenario.name)
    recording = await recorded(runtime, scenario, service)
    if recording.response.status != 200:
        sys.stderr.write(f"{scenario.name}: recorded with status {recording.response.status}\n")
    # Not by a document, in which credentials are redacted.
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    await container.recordings.store(ADMIN.owner, recording, imported=True)
    info = (await container.recordings.recent(ADMIN.owner, service))[0]
    found: list[tuple[Change, Replay]] = []
    for change in some:
        version = (await runtime.workflows.get(ADMIN, service)).version
        request = ReplayRequest(service, version=version, runs=[info.run_id])
        if change.code != scenario.code:
            edited = await runtime.drafts.edit(ADMIN, service, code=change.code)
            request = ReplayRequest(service, draft=edited.draft.draft_id, runs=[info.run_id])
        found.append((change, await runtime.replays.replay(ADMIN, request)))
        sys.stderr.write(f"{change.id}: {found[-1][1].text}\n")
    return found


async def measure(some_changes: list[Change]) -> list[tuple[Change, Replay]]:
    """These changes, by scenario."""
    by_scenario: dict[str, list[Change]] = {}
    for change in some_changes:
        by_scenario.setdefault(change.scenario.name, []).append(change)
    found: list[tuple[Change, Replay]] = []
    with tempfile.TemporaryDirectory() as folder:
        async with open_runtime(make_home(Path(folder) / "home")) as runtime, serving(runtime):
            for some in by_scenario.values():
                found += await judged(runtime, some[0].scenario, some)
    return found


def table(title: str, found: list[tuple[Change, Replay]]) -> tuple[int, int]:
    """Print the table of verdicts. Returns (wrong ones, those falsely called the same)."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    for change, replay in found:
        verdict = replay.report.verdict if replay.report else "none"
        counts[change.verdict, verdict] += 1
        if verdict != change.verdict or any(name not in replay.text for name in change.names):
            wrong.append(f"{change.id}: must be {change.verdict}, is {replay.text}")

    print(f"{title}: {len(found) - len(wrong)} of {len(found)} as written down")
    for (right, verdict), count in sorted(counts.items()):
        print(f"{count:4} {right} judged {verdict}")
    for line in wrong:
        print(f"  {line}")
    return len(wrong), sum(count for (right, verdict), count in counts.items() if verdict == "same" != right)


def main() -> int:
    """Judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every tenth change")
    step = 10 if parser.parse_args().quick else 1
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sets = {"the hundred changes": changes()[::step], "changes held out": held_out()[::step]}
    found = uvloop.run(measure([change for some in sets.values() for change in some]))
    judged_changes = {change.id: (change, replay) for change, replay in found}
    tables = [table(title, [judged_changes[one.id] for one in some]) for title, some in sets.items()]
    allowed = MISTAKES if step == 1 else 0
    return 1 if any(wrong > allowed or false_same for wrong, false_same in tables) else 0


if __name__ == "__main__":
    sys.exit(main())
