"""The verdicts on the changes of `tests/integration/recording/changes`, by replays in real sandboxes: the hundred, and those
that were held out while replays were made.

The runs are recorded in this process, where the world is data, and are brought into a home as recordings of another one.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT)]

import uvloop  # noqa: E402
from tests.integration.recording.in_process import run  # noqa: E402
from tests.integration.recording.scenarios import Change, Scenario, changes, held_out  # noqa: E402
from tests.integration.recording.verdicts import AGO  # noqa: E402
from tests.integration.runtime.helpers import serving  # noqa: E402
from tests.support.runtime import ADMIN, deploy, make_home, open_runtime  # noqa: E402

from codewords_mcp.runtime.api.runtime import Runtime  # noqa: E402
from codewords_mcp.runtime.model.replay import Replay, ReplayRequest  # noqa: E402
from codewords_mcp.runtime.recording.document import to_document  # noqa: E402
from codewords_mcp.runtime.recording.exchanges import Recording, RunMessage  # noqa: E402
from codewords_mcp.runtime.secrets.scrub import Scrubber  # noqa: E402

MISTAKES = 2


def recorded(scenario: Scenario) -> Recording:
    """The run as a home would have recorded it, without the values of its secrets."""
    found = run(scenario, scenario.code, ago=AGO)
    clean = Scrubber(scenario.env).whole

    def message(one: RunMessage) -> RunMessage:
        return dataclasses.replace(one, body=None if one.body is None else clean(one.body))

    exchanges = tuple(
        dataclasses.replace(
            one,
            request=dataclasses.replace(
                one.request,
                url=clean(one.request.url.encode()).decode(),
                body=None if one.request.body is None else clean(one.request.body),
            ),
            chunks=tuple((at, clean(chunk)) for at, chunk in one.chunks),
        )
        for one in found.exchanges
    )
    return dataclasses.replace(
        found, exchanges=exchanges, request=message(found.request), response=message(found.response)
    )


async def judged(runtime: Runtime, scenario: Scenario, some: list[Change]) -> list[tuple[Change, Replay]]:
    """Deploy the program, bring its recording, and replay it on each change."""
    for name, value in scenario.env.items():
        await runtime.secrets.set(ADMIN, name, value)
    document = to_document(await asyncio.to_thread(recorded, scenario))
    service = await deploy(runtime, scenario.code, name=scenario.name)
    info = await runtime.recordings.bring(ADMIN, document, service)
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
