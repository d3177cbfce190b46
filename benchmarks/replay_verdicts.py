"""How many verdicts on the changes of `tests/integration/recording/changes` are right, by replays in real sandboxes?

They are those on the hundred changes, and on those that were held out while replays were made. The recorded runs are in
sandboxes too; the world that answers them is data. There is no peer: 98 of the hundred have to be right, and none that
changed may be called the same.

    python benchmarks/replay_verdicts.py [--quick] [--json]
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from _bench import Options, alone, options
from _sandboxes import quiet
from tests.integration.recording.in_process import World
from tests.integration.recording.scenarios import Change, Scenario, changes, held_out
from tests.integration.runtime.helpers import serving
from tests.support.runtime import ADMIN, deploy, make_home, open_runtime

from codewords_mcp.runtime.api.runtime import Runtime
from codewords_mcp.runtime.model.replay import Replay, ReplayRequest
from codewords_mcp.runtime.recording.exchanges import (
    MAX_BODY_BYTES,
    Exchange,
    RecordedRequest,
    Recording,
    RunMessage,
    UnreadConnection,
)
from codewords_mcp.runtime.recording.recorder import (
    OpenExchange,
    RecordedResponse,
    Verdict,
    replayed_pieces,
)
from codewords_mcp.runtime.runs.replays import ReplayRunner
from codewords_mcp.runtime.secrets.scrub import label_of

MISTAKES = 1
"""Wrong verdicts of a set that are allowed: 98 of 99, and 29 of 30."""
ANSWER_SECONDS = 0.1
"""Time until a host answers. A sandbox needs some of it for a further connection: at a host that answers at once, writes that
a program makes concurrently would come one after the other's response, as if it kept an order."""
QUICK_STEP = 10
"""Quickly, one change of so many is judged."""
TEST_PROCESS_ONLY = "shy"
"""The scenario whose program detects replays by a variable that only the replays of the test process set."""


class WorldRecorder:
    """Answers a real run as a scenario says, and notes what it answered, as if hosts had.

    Files are the runtime's own, since a link to one is only valid where it was made.
    """

    answers = True

    def __init__(self, scenario: Scenario) -> None:
        self.exchanges: list[Exchange] = []
        self._world = World(scenario)
        self._env = scenario.env
        self._began = time.monotonic()

    async def decide(self, request: RecordedRequest) -> Verdict:
        """See `Recorder`."""
        if request.channel == "call" and urlsplit(request.url).path.startswith("/file"):
            return OpenExchange(request)
        started = time.monotonic() - self._began
        url, body = request.url, request.body
        for name, value in self._env.items():
            url = url.replace(label_of(name), value)
            body = body and body.replace(label_of(name).encode(), value.encode())
        answer = self._world.answer(dataclasses.replace(request, url=url, body=body))
        await asyncio.sleep(ANSWER_SECONDS)
        content, headers = answer.content, list(answer.headers.raw)
        kept = content[:MAX_BODY_BYTES]
        ended = time.monotonic() - self._began
        self.exchanges.append(
            Exchange(
                len(self.exchanges), request, "sent", started, ended, answer.status_code, headers,
                ((0.0, kept),), len(content), whole=kept == content,
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
        exchanges=_in_order(recorder.exchanges, done.sent()),
        connections=tuple(
            UnreadConnection(one["host"], one["port"], 0.0, 0.1, 10, 10, one["why"])
            for one in scenario.connections
        ),
        truncated=scenario.truncated,
    )


def _in_order(answered: Iterable[Exchange], sent: Iterable[Exchange]) -> tuple[Exchange, ...]:
    exchanges = sorted((*answered, *sent), key=_start)
    return tuple(dataclasses.replace(one, number=number) for number, one in enumerate(exchanges))


def _start(exchange: Exchange) -> float:
    return exchange.started


async def judged(runtime: Runtime, scenario: Scenario, some: list[Change]) -> list[tuple[Change, Replay]]:
    """Deploy the program, bring its recording, and replay it on each change."""
    for name, value in scenario.env.items():
        await runtime.secrets.set(ADMIN, name, value)
    service = await deploy(runtime, scenario.code, name=scenario.name)
    recording = await recorded(runtime, scenario, service)
    # A run that fails before the changed line is the same with any change.
    assert recording.response.status == 200, f"{scenario.name}: {recording.response}"
    # Not by a document, in which credentials are redacted.
    container = runtime._container  # pyright: ignore[reportPrivateUsage]
    info = await container.recordings.bring(ADMIN.owner, recording)
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


def is_right(change: Change, replay: Replay) -> bool:
    """Whether a change got its verdict, and the result names what it must."""
    return verdict_of(replay) == change.verdict and all(_is_named(change, replay, n) for n in change.names)


def _is_named(change: Change, replay: Replay, name: str) -> bool:
    # No result has the value of a secret, or a part of it: its label stands there.
    labels = [label_of(secret) for secret, value in change.scenario.env.items() if name in value]
    return any(text in replay.text for text in (name, *labels))


def verdict_of(replay: Replay) -> str:
    """The verdict; "none" where there is no report."""
    return replay.report.verdict if replay.report else "none"


def tell(title: str, found: list[tuple[Change, Replay]], chosen: Options) -> bool:
    """Print what came of a set. Returns whether enough verdicts are right, and none is falsely called the same."""
    counts = Counter((change.verdict, verdict_of(replay)) for change, replay in found)
    wrong = [
        f"{change.id}: must be {change.verdict}, is {replay.text}"
        for change, replay in found
        if not is_right(change, replay)
    ]
    false_same = sum(count for (due, verdict), count in counts.items() if verdict == "same" != due)
    right, least = len(found) - len(wrong), len(found) - (0 if chosen.quick else MISTAKES)
    if chosen.as_json:
        question = f"right verdicts, {title}"
        return alone(
            question, right, "verdicts", runs=len(found), at_least=least, holds=not false_same,
            falsely_same=false_same, wrong=wrong,
        )  # fmt: skip

    print(f"{title}: {right} of {len(found)} as written down, {false_same} falsely called the same")
    for (due, verdict), count in sorted(counts.items()):
        print(f"{count:4} {due} judged {verdict}")
    for line in wrong:
        print(f"  {line}")
    return right >= least and not false_same


def main() -> int:
    """Judge, and print."""
    chosen = options((__doc__ or "").splitlines()[0], runs=100, quick_runs=10)
    quiet()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    step = QUICK_STEP if chosen.quick else 1
    sets = {
        title: [one for one in some if one.scenario.name != TEST_PROCESS_ONLY][::step]
        for title, some in (("the hundred changes", changes()), ("changes held out", held_out()))
    }

    found = uvloop.run(measure([change for some in sets.values() for change in some]))
    by_id = {change.id: (change, replay) for change, replay in found}
    enough = [tell(title, [by_id[one.id] for one in some], chosen) for title, some in sets.items()]
    return 0 if all(enough) else 1


if __name__ == "__main__":
    sys.exit(main())
