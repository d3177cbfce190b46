"""Does a description become a workflow that works, in how many answers, and what does the way there cost?

The forty tasks of tests/integration/authoring/tasks.py with their recorded answers, half of them wrong at first, through the
real gateway against a stand-in provider: each has to end deployed and pass its own check. Then how long a validation and an
edit take, and what a model pays from its first look at the tools to a run that succeeds where no provider has a key.

With `--real` the same tasks are given to the first provider whose key is set (or CODEWORDS_AUTHOR_MODEL), which costs money:
success, answers, tokens and cost.

    python benchmarks/authoring.py [--quick] [--json] [--real]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from tests.integration.authoring.harness import Outcome, carry_out  # noqa: E402
from tests.integration.authoring.tasks import TASKS, WORDS, Task, code_of  # noqa: E402
from tests.support.mcp_clients import data_of, in_process, text_of  # noqa: E402
from tests.support.runtime import ADMIN, ECHO, make_home, open_runtime  # noqa: E402
from tool_tokens import count, paid  # noqa: E402

from codewords_mcp.runtime.api.runtime import Runtime  # noqa: E402
from codewords_mcp.runtime.model.authoring import Edit  # noqa: E402
from codewords_mcp.runtime.model.progress import no_progress  # noqa: E402
from codewords_testing.providers import LoopbackProviders, loopback_providers  # noqa: E402

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")
Row = dict[str, Any]


async def tasks_done(
    runtime: Runtime, tasks: Sequence[Task], model: LoopbackProviders | None
) -> list[Outcome]:
    """One after another: the recorded answers come in order."""
    done: list[Outcome] = []
    for task in tasks:
        done.append(await carry_out(runtime, task, model))
        mark = "works" if done[-1].works else f"FAILS: {done[-1].failure}"
        sys.stderr.write(f"{len(done):3}/{len(tasks)} {task.name}: {len(done[-1].tried)} answers, {mark}\n")
    return done


def rows_of(done: list[Outcome]) -> list[Row]:
    """What is asked of the tasks."""
    answers = [len(one.tried) for one in done]
    tokens = [sum(answer.tokens for answer in one.tried) for one in done]
    costs = [one.cost for one in done if one.cost is not None]
    works = sum(one.works for one in done)
    model = next((one.model for one in done if one.model), "none")
    return [
        row(
            f"tasks that end working ({model})", works, f"of {len(done)}", works == len(done), f"{len(done)}"
        ),
        row("answers of a task, mean", round(statistics.fmean(answers), 2), f"at most {max(answers)}"),
        row("tokens of a task, mean", round(statistics.fmean(tokens)), f"at most {max(tokens)}"),
        row("cost of a task, mean", round(statistics.fmean(costs), 5) if costs else None, "USD"),
        row("time of a task, median", round(statistics.median(one.seconds for one in done), 2), "s"),
    ]


def row(question: str, value: float | None, unit: str, holds: bool | None = None, target: str = "-") -> Row:
    """One line."""
    return {"question": question, "ours": value, "unit": unit, "target": target, "holds": holds}


async def times(runtime: Runtime, runs: int) -> list[Row]:
    """Validations of code that was not seen before, its environment being there."""
    looked: list[float] = []
    whole: list[float] = []
    for number in range(runs + 1):
        found = await runtime._validator.check(ADMIN, f"{ECHO}\n# {number}\n", no_progress)  # pyright: ignore[reportPrivateUsage]
        looked.append(found.timings_ms["parse"] + found.timings_ms["look"])
        whole.append(found.timings_ms["total"])
    draft = (await runtime.drafts.create(ADMIN, ECHO)).draft
    edits: list[float] = []
    for number in range(runs):
        before = "await request.json()" if not number else f"(await request.json(), {number - 1})"
        change = [Edit(old=before, new=f"(await request.json(), {number})")]
        began = time.perf_counter()
        await runtime.drafts.edit(ADMIN, draft.draft_id, edits=change)
        edits.append((time.perf_counter() - began) * 1000)
    asked = (
        ("validation without boot, median", looked[1:], 150),
        ("validation with boot, environment cached, median", whole[1:], 700),
        ("edit to its changed checks, tried in a sandbox, median", edits, 300),
    )
    return [
        row(name, round(statistics.median(found), 1), "ms", statistics.median(found) <= limit, f"<= {limit}")
        for name, found, limit in asked
    ]


async def keyless(runtime: Runtime) -> list[Row]:
    """The loop of an assistant that knows nothing but the tools' descriptions; its own code is not counted."""
    said: list[str] = []
    async with in_process(runtime, runtime.settings, ADMIN, "2026-07-28") as client:
        listed = await client.list_tools()
        tools = [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listed.tools]

        async def call(name: str, **arguments: Any) -> Row:
            result = await client.call_tool(name, arguments)
            said.append(text_of(result))
            said.append(json.dumps({key: value for key, value in arguments.items() if key != "code"}))
            return data_of(result)

        await call("generate_workflow", description="Takes a text, counts its words and characters.")
        await call("edit_workflow", code=code_of(WORDS))
        following = re.search(r'draft_id="(\w+)", revision=(\d+)', said[-2])
        assert following is not None
        live = await call("deploy_workflow", draft_id=following[1], revision=int(following[2]))
        ran = await call("run_workflow", workflow_id=live["workflow_id"], input={"text": "one two"})
    assert ran["result"]["words"] == 2
    counts, how = count([*map(paid, tools), *said])
    whole = sum(counts)
    return [
        row(
            "tokens from tools/list to a run without a key",
            whole,
            f"({how}, {len(said) // 2} calls)",
            whole <= 6000,
            "<= 6000",
        ),
        row("of these the tool list", sum(counts[: len(tools)]), "tokens"),
        row("of these the brief", counts[len(tools)], "tokens"),
    ]


async def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="ten tasks, fewer runs")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--real", action="store_true", help="ask a real provider: costs money")
    given = parser.parse_args()
    tasks = TASKS[::4] if given.quick else TASKS
    real = {name: os.environ.pop(name) for name in KEYS if name in os.environ}
    if given.real and not real:
        parser.error(f"none of {', '.join(KEYS)} is set")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, loopback_providers({"openai": "sk-scripted"}) as model:
        async with open_runtime(make_home(Path(folder) / "without")) as runtime:
            rows += await times(runtime, 5 if given.quick else 15)
            rows += await keyless(runtime)
        os.environ.update(real if given.real else {"OPENAI_API_KEY": "sk-scripted"})
        settings = {} if given.real else {"openai_base_url": model.url, "author_model": "openai/gpt-4.1"}
        async with open_runtime(make_home(Path(folder) / "with"), **settings) as runtime:
            rows = rows_of(await tasks_done(runtime, tasks, None if given.real else model)) + rows
    if given.json:
        for one in rows:
            print(json.dumps(one))
    else:
        for one in rows:
            holds = {True: "yes", False: "NO", None: ""}[one["holds"]]
            print(
                f"{one['question']:<58} {one['ours']!s:>8} {one['unit']:<32} {one['target']:<8} {holds}".rstrip()
            )
    return 1 if any(one["holds"] is False for one in rows) else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
